"""Writes the made parts of the documentation anew: `make docs`."""

from docs.generate.pages import PAGES, filled

for page in PAGES:
    before = page.read_text(encoding="utf-8")
    if (after := filled(before)) != before:
        page.write_text(after, encoding="utf-8")
        print(f"{page}: written anew")
