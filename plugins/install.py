"""Install, from wheels, every plugin of this folder and a package of every template.

    python plugins/install.py FOLDER

FOLDER/made gets the packages that `seqnlp plugin new` writes, FOLDER/wheels all that is built. What
is tested then is found by the metadata of installed packages, as it is where people install them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from seqnlp.workshop.create import create
from seqnlp.workshop.kinds import KINDS

NAMES = {f"my-{kind}": kind for kind in KINDS}


def main(folder: Path) -> None:
    """Make, build and install all, in place of what an earlier call has left."""
    made, wheels = folder / "made", folder / "wheels"
    for old in (made, wheels):
        shutil.rmtree(old, ignore_errors=True)
        old.mkdir(parents=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    # A name that is taken would be refused.
    subprocess.run([*pip, "-qq", "uninstall", "-y", *(f"seqnlp-{n}" for n in NAMES)], check=True)
    for name, kind in NAMES.items():
        create(name, kind=kind, folder=made / f"seqnlp-{name}")
    sources = sorted([*made.iterdir(), *Path(__file__).parent.glob("seqnlp-*/")])
    offline = ["--no-deps", "--no-index"]
    build: list[str | Path] = ["wheel", *offline, "--no-build-isolation", "--wheel-dir", wheels]
    subprocess.run([*pip, *build, *sources], check=True)
    install: list[str | Path] = ["install", *offline, "--force-reinstall"]
    subprocess.run([*pip, *install, *sorted(wheels.glob("*.whl"))], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
