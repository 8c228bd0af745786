"""Writes the made parts of the documentation anew: `make docs`."""

from docs.generate.pages import PAGES, filled
from foodscene.models.files import write

for page in PAGES:
    before = page.read_text(encoding="utf-8")
    if (after := filled(before)) != before:
        write(page, after.encode())
        print(f"{page}: written anew")
