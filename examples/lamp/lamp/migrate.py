"""Brings a state file of an older version into the form of this one: `migrate.py FILE`.

postinst runs it on every installation, so a file that is up to date stays as it is.
"""

import json
import sys
from pathlib import Path

import state


def to_schema_2(document: dict) -> dict:
    """0.9 wrote no schema, and kept the brightness from 0 to 255."""
    percent = round(document["brightness"] * 100 / 255)
    return {**document, "schema": 2, "brightness": percent}


# Each step leads from one schema to the next.
STEPS = {1: to_schema_2}


def migrated(document: dict) -> dict:
    """The document in today's schema."""
    while (schema := document.get("schema", 1)) in STEPS:
        document = STEPS[schema](document)
    if schema != state.SCHEMA:
        raise ValueError(f"schema {schema} is newer than {state.SCHEMA}, which this version knows")
    return document


def main() -> None:
    file = Path(sys.argv[1])
    try:
        old = json.loads(file.read_text())
        new = migrated(old)
    except (ValueError, KeyError, TypeError) as error:
        sys.exit(f"could not migrate {file}: {error!r}; correct or remove it, then run dpkg --configure lamp")
    if new != old:
        state.write(new, file)
        print(f"{file}: schema {old.get('schema', 1)} became {new['schema']}")


if __name__ == "__main__":
    main()
