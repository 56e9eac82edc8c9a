"""Amazon's own client, as it is, against the server: its arguments are the server's address and authority, a certificate and
its key, and a thing that these speak for."""

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

endpoint, authority, certificate, key, thing = sys.argv[1:]
client = boto3.client(
    "iot-data",
    endpoint_url=endpoint,
    region_name="us-east-1",
    # It signs with these, which the server does not know: what counts is the client certificate.
    aws_access_key_id="any",
    aws_secret_access_key="any",
    verify=authority,
    config=Config(client_cert=(certificate, key), retries={"total_max_attempts": 1}),
)


def update(state, **more):
    which = {name: more.pop(name) for name in list(more) if name in ("thingName", "shadowName")}
    payload = json.dumps({"state": state, **more}).encode()
    return json.load(client.update_thing_shadow(**{"thingName": thing, **which}, payload=payload)["payload"])


def get(**which):
    return json.load(client.get_thing_shadow(thingName=thing, **which)["payload"])


def error(kind, code, ask, *arguments, **more):
    try:
        ask(*arguments, **more)
    except ClientError as refused:
        status = refused.response["ResponseMetadata"]["HTTPStatusCode"]
        assert (refused.response["Error"]["Code"], status) == (kind, code), refused.response
        return refused.response["Error"]["Message"]
    raise AssertionError(f"{kind} was expected")


assert error("ResourceNotFoundException", 404, get) == f"No shadow exists with name: '{thing}'"
assert update({"reported": {"on": False}}, clientToken="t")["clientToken"] == "t"
assert update({"desired": {"on": True, "hue": 3}})["version"] == 2
assert get()["state"] == {
    "desired": {"on": True, "hue": 3},
    "reported": {"on": False},
    "delta": {"on": True, "hue": 3},
}
try:
    update({"desired": {"on": False}}, version=1)
    raise AssertionError("a stale version was taken")
except client.exceptions.ConflictException as conflict:
    assert conflict.response["Error"]["Message"] == "Version conflict"
assert update({"reported": {"on": True, "hue": 3}}, version=2)["version"] == 3
assert "delta" not in get()["state"]
error("RequestEntityTooLargeException", 413, update, {"reported": {"x": "x" * 9000}})
error("InvalidRequestException", 400, update, {"reported": {"x": [None]}})
error("ForbiddenException", 403, update, {"reported": {"x": 1}}, thingName=thing + "-neighbour")

update({"reported": {"hi": {"version": "1.3.0-1"}}}, shadowName="$package")
update({"reported": {"ssid": "home"}}, shadowName="network")
names = client.list_named_shadows_for_thing(thingName=thing)
assert sorted(names["results"]) == ["$package", "network"], names
first = client.list_named_shadows_for_thing(thingName=thing, pageSize=1)
second = client.list_named_shadows_for_thing(thingName=thing, pageSize=1, nextToken=first["nextToken"])
assert sorted(first["results"] + second["results"]) == ["$package", "network"] and "nextToken" not in second

assert json.load(client.delete_thing_shadow(thingName=thing)["payload"])["version"] == 3
error("ResourceNotFoundException", 404, client.delete_thing_shadow, thingName=thing)
assert get(shadowName="network")["state"] == {"reported": {"ssid": "home"}}
print("done")
