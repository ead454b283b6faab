"""Copy the pinned files from a folder of unpacked packages, refusing any whose hash differs."""

import hashlib
import sys
import tomllib
from pathlib import Path

root = Path(__file__).parent.parent
for package in tomllib.loads((root / "VENDOR.toml").read_text())["package"]:
    for file in package["files"]:
        content = (Path(sys.argv[1]) / file["from"]).read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != file["sha256"]:
            sys.exit(
                f"{file['from']} of {package['name']} {package['version']} has sha256 {found}, not {file['sha256']}"
            )
        (root / file["to"]).parent.mkdir(parents=True, exist_ok=True)
        (root / file["to"]).write_bytes(content)
        print(f"{file['to']}  {found[:16]}…")
