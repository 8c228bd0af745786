"""The history of this browser: kept, exported, cleared, corrected."""

import csv
from pathlib import Path

from playwright.sync_api import Page, expect


def ask(page: Page, *photos: Path) -> None:
    page.get_by_label("Choose photos").set_input_files(list(photos))
    expect(page.locator(".card[data-state=answered]")).to_have_count(len(photos))


def entries(page: Page):
    return page.get_by_role("region", name="Earlier, in this browser").get_by_role("listitem")


def test_answers_are_there_after_a_reload(page: Page, photos: dict[str, Path]) -> None:
    expect(page.locator("#history")).to_be_hidden()
    ask(page, photos["red"])
    ask(page, photos["blue"])
    expect(entries(page)).to_have_count(2)  # `ask` may have seen the first photo's card
    page.reload()
    expect(entries(page)).to_contain_text(["blue", "red"])
    thumbnail = entries(page).first.locator("img")
    assert thumbnail.evaluate("async (image) => { await image.decode(); return image.naturalWidth }") == 112


def test_only_the_newest_are_shown_until_all_are_wanted(page: Page, photos: dict[str, Path]) -> None:
    ask(page, *[photos["red"]] * 14)
    expect(entries(page)).to_have_count(12)
    page.get_by_role("button", name="Show all 14").click()
    expect(entries(page)).to_have_count(14)


def test_cleared_and_taken_back(page: Page, photos: dict[str, Path]) -> None:
    ask(page, photos["red"])
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#history")).to_be_hidden()
    assert page.evaluate("JSON.parse(localStorage.getItem('foodscene.history'))") == []
    page.get_by_role("button", name="Undo").click()
    expect(entries(page)).to_have_count(1)


def test_export_is_csv_that_a_spreadsheet_takes_as_text(page: Page, photos: dict[str, Path]) -> None:
    odd = photos["red"].rename(photos["red"].with_name('=red, "new".jpg'))
    ask(page, odd)
    with page.expect_download() as download:
        page.get_by_role("button", name="Export as CSV").click()
    assert download.value.suggested_filename == "foodscene.csv"
    with Path(download.value.path()).open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["photo"], row["model"], row["label"], row["sure"]) == ('\'=red, "new".jpg', "colours", "red", "true")
    assert 0.5 < float(row["probability"]) <= 1


def test_page_works_where_storage_is_refused(page: Page, photos: dict[str, Path]) -> None:
    page.add_init_script("Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError') }")
    page.reload()
    ask(page, photos["red"])
    expect(entries(page)).to_have_count(1)
