"""The light itself: a PWM chip, as Linux shows it in sysfs, or a simulated one.

Run as root, it opens the chip's channels for the user lamp.
"""

import colorsys
import shutil
from pathlib import Path
from typing import Protocol

import settings
from state import State

CHANNELS = (0, 1, 2)  # red, green, blue
PERIOD = 1_000_000  # nanoseconds: 1 kHz does not flicker


def colour(state: State) -> tuple[float, float, float]:
    """How much red, green and blue, each from 0 to 1."""
    value = state.brightness / 100 if state.on else 0.0
    return colorsys.hsv_to_rgb(state.hue / 360, 0.85, value)


class Light(Protocol):
    """Something that can shine."""

    name: str

    def show(self, state: State) -> None:
        """Shines as the state says."""


class Pwm:
    """Three channels of a PWM chip."""

    def __init__(self, chip: Path) -> None:
        self.name = f"PWM chip {chip}"
        self._channels = [chip / f"pwm{number}" for number in CHANNELS]
        for channel in self._channels:
            (channel / "period").write_text(str(PERIOD))
            (channel / "enable").write_text("1")

    def show(self, state: State) -> None:
        for channel, share in zip(self._channels, colour(state)):
            (channel / "duty_cycle").write_text(str(round(PERIOD * share)))


class Simulated:
    """A light for machines that have none: it says what it would do."""

    name = "simulated"

    def show(self, state: State) -> None:
        red, green, blue = (round(255 * share) for share in colour(state))
        print(f"the light is #{red:02x}{green:02x}{blue:02x}", flush=True)


def find() -> Light:
    """The chip that the settings name if it is there."""
    chip = Path(settings.load()["hardware"]["pwm"])
    if not chip.exists():
        return Simulated()
    return Pwm(chip)


def open_channels() -> None:
    """Exports each channel and gives its files to the user lamp."""
    chip = Path(settings.load()["hardware"]["pwm"])
    if not chip.exists():
        print(f"there is no {chip}: the light will be simulated")
        return
    for number in CHANNELS:
        channel = chip / f"pwm{number}"
        if not channel.exists():
            (chip / "export").write_text(str(number))
        for file in ("period", "duty_cycle", "enable"):
            shutil.chown(channel / file, "lamp", "lamp")


if __name__ == "__main__":
    open_channels()
