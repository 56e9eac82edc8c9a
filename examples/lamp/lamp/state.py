"""What the lamp is set to, and the file in which that outlives a restart."""

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

FILE = Path("/var/lib/lamp/state.json")
SCHEMA = 2


@dataclass(frozen=True)
class State:
    """What a lamp can be set to."""

    on: bool = False
    hue: int = 45  # degrees on the colour wheel, 0 to 359
    brightness: int = 80  # percent

    def changed(self, wishes: dict) -> "State":
        """This state with some values replaced; ValueError says what is wrong with a wish."""
        known = {field.name for field in fields(self)}
        if not isinstance(wishes, dict) or not set(wishes) <= known:
            raise ValueError(f"a lamp has {', '.join(sorted(known))}, and nothing else")
        if type(wishes.get("on", False)) is not bool:
            raise ValueError("on is true or false")
        for name, highest in (("hue", 359), ("brightness", 100)):
            value = wishes.get(name, 0)
            if type(value) is not int or not 0 <= value <= highest:
                raise ValueError(f"{name} is a whole number from 0 to {highest}")
        return State(**{**asdict(self), **wishes})


def load(file: Path = FILE) -> State:
    """The state as it was saved; a lamp that was never set has the first one."""
    try:
        document = json.loads(file.read_text())
    except FileNotFoundError:
        return State()
    if document.pop("schema", None) != SCHEMA:
        raise ValueError(f"{file} is of another schema than {SCHEMA}; run migrate.py, as postinst does")
    return State().changed(document)


def save(state: State, file: Path = FILE) -> None:
    """Replaces the file as a whole, so that a power cut leaves the old state or the new one."""
    write({"schema": SCHEMA, **asdict(state)}, file)


def write(document: dict, file: Path) -> None:
    """The same for any document."""
    unfinished = file.with_suffix(".new")
    with open(unfinished, "w") as output:
        json.dump(document, output)
        output.flush()
        os.fsync(output.fileno())
    os.replace(unfinished, file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
