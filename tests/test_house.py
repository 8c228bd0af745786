"""What modules were called before is left nowhere: whoever searches for a name finds where it is today."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
FORMER = {
    "app": "answers cores drain envelope explain express headers lanes lean library limits logs page patience portrait "
    "preview protocol scheduler server",
    "app.routes": "docs",
    "models": "halves layers ranking",
    "training": "batches cache calibration card certainty choice contact_sheet copies devices doctor doctor_report "
    "experiments explanation features feeding loop markdown measurement measures mirror mistakes mixup old_records "
    "optimization outliers phases photos pictures presence readme recipe report run sections sensitivity space splits "
    "standardization strangers survey teacher trial watching whitening workers",
    "training.augmentation": "memory picture settings",
    "training.commands": "augment course experiments listing terminal",
    "training.networks": "dense flat",
}
NOW_FOLDERS = ("app.server", "training.loop")
"""Names of today's wings that were modules."""


_MAY_NAME = re.compile(r"\b(?:app|models|training)\b")


def _patterns() -> list[str]:
    found = []
    for package, modules in FORMER.items():
        for module in modules.split():
            dotted = f"{package}.{module}"
            found.append(re.escape(dotted.replace(".", "/") + ".py"))
            found.append(rf"import {re.escape(dotted)}\b(?!\.)")
            if dotted not in NOW_FOLDERS:
                found.append(rf"\bfoodscene\.{re.escape(dotted)}\b")
                found.append(rf"from foodscene\.{re.escape(package)} import (?:[\w, ]+, )?{module}\b")
        found.append(rf"^\s*(?:from|import) {re.escape(package)}\b")
    return found


def test_no_former_name_is_left() -> None:
    former = re.compile("|".join(f"(?<![\\w/.])(?:{pattern})" for pattern in _patterns()), re.MULTILINE)
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    left = []
    for name in listed.stdout.split("\0"):
        path = ROOT / name
        if not name or name == "CHANGELOG.md" or path == Path(__file__) or path.is_symlink() or not path.is_file():
            continue
        if path.suffix in (".py", ".md", ".toml", ".yml", ".sh", ".html", ""):
            lines = path.read_text(encoding="utf-8").splitlines()
            few = "\n".join(
                line for line in lines if _MAY_NAME.search(line)
            )  # the whole of it would take half a minute
            left += [f"{name}: {match[0].strip()}" for match in former.finditer(few)]
    assert not left


def test_the_architecture_names_today_s_files() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:app|training|models|foodscene)/[\w/]+\.py)`", page)
    assert len(named) > 15
    assert not [name for name in named if not (ROOT / name).is_file()]
    drawn = page.partition("```text\n")[2].partition("```")[0]
    files = dict(re.findall(r"^   (\w+)/(.*(?:\n {10}.*)*)", drawn, re.MULTILINE))  # a line, and what goes on below it
    for folder in (path for path in (ROOT / "training").iterdir() if (path / "__init__.py").exists()):
        if folder.name not in ("datasets", "commands"):
            missing = {path.stem for path in folder.glob("*.py")} - set(re.findall(r"\w+", files[folder.name]))
            missing -= {"__init__"}
            assert missing <= {"buffers", "check_report", "contact_sheet", "layers"}, (folder, missing)
