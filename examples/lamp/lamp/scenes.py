"""Named settings of the lamp: one JSON file each, from packages and from the owner."""

import json
import sys
from pathlib import Path

from state import State

# The owner's come last, and replace those of the same name.
FOLDERS = (Path("/usr/share/lamp/scenes"), Path("/etc/lamp/scenes.d"))


def load() -> dict[str, dict]:
    """The values to change, by the scene's name. A broken file is told about and left out."""
    scenes = {}
    for folder in FOLDERS:
        for file in sorted(folder.glob("*.json")):
            try:
                scene = json.loads(file.read_text())
                name = str(scene.pop("name"))
                State().changed(scene)
            except (OSError, ValueError, KeyError, AttributeError) as error:
                print(f"the scene {file} is left out: {error!r}", file=sys.stderr)
                continue
            scenes[name] = scene
    return scenes
