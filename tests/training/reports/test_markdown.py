import pytest
from markdown_it import MarkdownIt

from foodscene.training.reports import markdown
from foodscene.training.reports.markdown import Markdown


@pytest.mark.parametrize(
    "text",
    [
        "a_b",
        "_a_",
        "*a*",
        "[a](b)",
        "![a](b)",
        "<i>a</i>",
        "a & b",
        "&amp;",
        "`a`",
        "~~a~~",
        "C:\\*",
        "https://a.b/c_d",
    ],
)
def test_text_is_shown_as_it_is(text: str) -> None:
    shown = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    reader = MarkdownIt().enable(["table", "strikethrough"])
    assert reader.render(markdown.escape(text)) == f"<p>{shown}</p>\n"
    assert f"<td>{shown}</td>" in reader.render(markdown.table([["", "x"], ["row", text]])).replace(
        ' style="text-align:right"', ""
    )


@pytest.mark.parametrize("text", ["# a", "- a", "+ a", "1. a", "1) a", "===", "> a", "0.5", "-1"])
def test_a_text_that_begins_a_line_is_no_heading_and_no_list(text: str) -> None:
    shown = text.replace(">", "&gt;")
    assert MarkdownIt().render(markdown.paragraphs(f"a\n\n{text}")) == f"<p>a</p>\n<p>{shown}</p>\n"


@pytest.mark.parametrize("text", ["a", "a`b", "``", "`a`", "a|b"])
def test_code_is_shown_as_it_is(text: str) -> None:
    reader = MarkdownIt().enable("table")
    assert f"<code>{text}</code>" in reader.render(markdown.table([["x"], [markdown.code(text)]]))
    assert reader.render(markdown.fenced(f"{text}\n```", "sh")) == (
        f'<pre><code class="language-sh">{text}\n```\n</code></pre>\n'
    )


def test_ordinary_words_stay_as_they_are() -> None:
    words = "Food-101's apple_pie, 12 % (CC BY 4.0): 1.5 & more; see #3!"
    assert markdown.escape(words) == markdown.paragraphs(words) == words


def test_what_is_markdown_is_left_alone() -> None:
    assert markdown.escape(Markdown("*a*")) == "*a*"
