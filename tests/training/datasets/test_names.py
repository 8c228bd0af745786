from foodscene.training.datasets.names import listed, matched, unique


def test_the_exact_name_comes_first_then_the_only_one_alike():
    assert matched(["cat", "DOG", "fried_rice", "Tea", "cow"], ["cat", "Cat", "dog", "Fried rice", "tea", "TEA"]) == {
        "cat": "cat",
        "DOG": "dog",
        "fried_rice": "Fried rice",
    }, "Tea may be tea or TEA"
    assert matched(["T-shirt_top", "cre\u0300me"], ["T-shirt/top", "cr\u00e8me"]) == {
        "T-shirt_top": "T-shirt/top",
        "cre\u0300me": "cr\u00e8me",
    }


def test_labels_that_would_be_one_have_their_ids():
    assert unique({40: "omelet", 41: "egg roll", 67: "Omelet"}) == {
        40: "omelet (40)",
        41: "egg roll",
        67: "Omelet (67)",
    }


def test_an_id_in_a_label_makes_no_other_label_of_it():
    assert list(unique({1: "rice", 2: "rice (1)", 10: "rice"}).values()) == ["rice (1) (1)", "rice (1)", "rice (10)"]


def test_lists_are_cut():
    assert listed("abc", 5) == "a, b, c"
    assert listed("abcd", 2) == "a, b … and 2 more"
