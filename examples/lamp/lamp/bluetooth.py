"""The Bluetooth service: phones set the lamp over Bluetooth Low Energy.

It registers a GATT service with BlueZ (org.bluez.GattManager1) that has one characteristic of four bytes: on (0 or 1),
hue (two bytes, the low one first) and brightness. Where there is no adapter, BlueZ or python3-dbus, it says so and
waits: a lamp without Bluetooth is still a lamp.
"""

import signal
import struct
import sys

import client
import settings

try:
    import dbus
    import dbus.mainloop.glib
    import dbus.service
    from gi.repository import GLib
except ImportError as error:
    dbus = None
    MISSING = error

SERVICE = "6a1d0001-9c3e-4f0b-8a57-2f1c5c9e7a10"
STATE = "6a1d0002-9c3e-4f0b-8a57-2f1c5c9e7a10"
FORM = struct.Struct("<BHB")

OBJECTS = "org.freedesktop.DBus.ObjectManager"
PROPERTIES = "org.freedesktop.DBus.Properties"
PATH = "/org/example/lamp"


def encode(state: dict) -> bytes:
    """The lamp's state as the characteristic holds it."""
    return FORM.pack(state["on"], state["hue"], state["brightness"])


def decode(value: bytes) -> dict:
    """The values to change that a phone wrote; ValueError if it is no state."""
    if len(value) != FORM.size or value[0] > 1:
        raise ValueError(f"a state is {FORM.size} bytes: on (0 or 1), hue (two bytes), brightness")
    on, hue, brightness = FORM.unpack(value)
    return {"on": bool(on), "hue": hue, "brightness": brightness}


def idle(reason: str) -> None:
    """Waits for the end of the service, or for the restart that a new adapter is worth."""
    print(f"no Bluetooth: {reason}", flush=True)
    while True:
        signal.pause()


if dbus:

    class Refused(dbus.DBusException):
        """What BlueZ passes on to the phone."""

        _dbus_error_name = "org.bluez.Error.Failed"

    class Application(dbus.service.Object):
        """All objects that BlueZ may know, by their paths."""

        @dbus.service.method(OBJECTS, out_signature="a{oa{sa{sv}}}")
        def GetManagedObjects(self):
            service = {"UUID": SERVICE, "Primary": True}
            flags = dbus.Array(["read", "write"], signature="s")
            characteristic = {"UUID": STATE, "Service": dbus.ObjectPath(f"{PATH}/service"), "Flags": flags}
            return {
                dbus.ObjectPath(f"{PATH}/service"): {"org.bluez.GattService1": service},
                dbus.ObjectPath(f"{PATH}/service/state"): {"org.bluez.GattCharacteristic1": characteristic},
            }

    class StateCharacteristic(dbus.service.Object):
        """The four bytes."""

        @dbus.service.method("org.bluez.GattCharacteristic1", in_signature="a{sv}", out_signature="ay")
        def ReadValue(self, options):
            try:
                return dbus.ByteArray(encode(client.ask()))
            except client.LampError as error:
                raise Refused(str(error)) from error

        @dbus.service.method("org.bluez.GattCharacteristic1", in_signature="aya{sv}")
        def WriteValue(self, value, options):
            try:
                client.ask(decode(bytes(value)))
            except (client.LampError, ValueError) as error:
                raise Refused(str(error)) from error

    class Advertisement(dbus.service.Object):
        """What phones see when they look for a lamp."""

        @dbus.service.method(PROPERTIES, in_signature="s", out_signature="a{sv}")
        def GetAll(self, interface):
            uuids = dbus.Array([SERVICE], signature="s")
            return {"Type": "peripheral", "ServiceUUIDs": uuids, "LocalName": settings.load()["bluetooth"]["name"]}

        @dbus.service.method("org.bluez.LEAdvertisement1")
        def Release(self):
            """BlueZ says that it no longer advertises the lamp."""


def find_adapter(bus) -> str | None:
    """The path of the first adapter that can be a GATT server."""
    objects = dbus.Interface(bus.get_object("org.bluez", "/"), OBJECTS).GetManagedObjects()
    wanted = {"org.bluez.GattManager1", "org.bluez.LEAdvertisingManager1"}
    return next((path for path, interfaces in objects.items() if wanted <= set(interfaces)), None)


def serve() -> None:
    """Registers with BlueZ and serves until the service ends."""
    dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
    bus = dbus.SystemBus()
    adapter = find_adapter(bus)
    if adapter is None:
        idle("BlueZ knows no adapter")
    # Kept in a name: D-Bus serves them as long as they live.
    served = [
        Application(bus, PATH),
        StateCharacteristic(bus, f"{PATH}/service/state"),
        Advertisement(bus, f"{PATH}/advertisement"),
    ]
    loop = GLib.MainLoop()
    failures = []

    def failed(error) -> None:
        failures.append(error)
        loop.quit()

    handlers = {"reply_handler": lambda: None, "error_handler": failed}
    proxy = bus.get_object("org.bluez", adapter)
    gatt = dbus.Interface(proxy, "org.bluez.GattManager1")
    gatt.RegisterApplication(dbus.ObjectPath(PATH), {}, **handlers)
    advertising = dbus.Interface(proxy, "org.bluez.LEAdvertisingManager1")
    advertising.RegisterAdvertisement(dbus.ObjectPath(f"{PATH}/advertisement"), {}, **handlers)
    print(f"serves {len(served)} objects to BlueZ's adapter {adapter}", flush=True)
    loop.run()
    sys.exit(f"BlueZ refused the lamp: {failures[0]}")


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if dbus is None:
        idle(f"{MISSING}; python3-dbus and python3-gi are needed")
    try:
        serve()
    except dbus.DBusException as error:
        idle(f"BlueZ does not answer: {error.get_dbus_message()}")


if __name__ == "__main__":
    main()
