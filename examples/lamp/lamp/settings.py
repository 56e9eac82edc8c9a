"""/etc/lamp/lamp.conf, with what counts where it says nothing."""

import configparser

FILE = "/etc/lamp/lamp.conf"
DEFAULTS = {
    "hardware": {"pwm": "/sys/class/pwm/pwmchip0"},
    "web": {"address": "127.0.0.1", "port": "8090"},
    "bluetooth": {"name": "Lamp"},
}


def load(file: str = FILE) -> configparser.ConfigParser:
    """All settings."""
    settings = configparser.ConfigParser(interpolation=None)
    settings.read_dict(DEFAULTS)
    settings.read(file)
    return settings
