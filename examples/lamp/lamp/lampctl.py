#!/usr/bin/python3 -B
"""lampctl: the lamp on the command line."""

import argparse
import json
import sys

import client
import scenes
from version import VERSION


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="lampctl", description="Sets the lamp, or tells what it is set to.", epilog="Example: lampctl set --hue 200"
    )
    parser.add_argument("--version", action="version", version=f"lampctl {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("status", help="what the lamp is set to").add_argument("--json", action="store_true")
    commands.add_parser("on", help="switch it on")
    commands.add_parser("off", help="switch it off")
    change = commands.add_parser("set", help="change colour and brightness")
    change.add_argument("--hue", type=int, help="degrees on the colour wheel, 0 to 359")
    change.add_argument("--brightness", type=int, help="percent")
    commands.add_parser("scene", help="use a scene").add_argument("name", choices=sorted(scenes.load()))
    return parser.parse_args()


def wishes_of(chosen: argparse.Namespace) -> dict:
    """The values to change."""
    match chosen.command:
        case "on" | "off":
            return {"on": chosen.command == "on"}
        case "set":
            wanted = {"hue": chosen.hue, "brightness": chosen.brightness}
            return {name: value for name, value in wanted.items() if value is not None}
        case "scene":
            return scenes.load()[chosen.name]
        case _:
            return {}


def main() -> None:
    chosen = arguments()
    try:
        state = client.ask(wishes_of(chosen))
    except client.LampError as error:
        sys.exit(f"lampctl: {error}")
    if chosen.command == "status" and chosen.json:
        print(json.dumps(state))
    else:
        switched = "on" if state["on"] else "off"
        print(f"{switched}, hue {state['hue']}°, brightness {state['brightness']} % ({state['light']})")


if __name__ == "__main__":
    main()
