"""The official device SDK's shadow clients, as they are, against the broker: its arguments are the broker's host and port, its
authority, a device's certificate and key, and the thing's name, which is the client id, too."""

import os
import queue
import sys

import awscrt.mqtt
import awscrt.mqtt5
from awscrt.mqtt_request_response import ClientOptions, SubscriptionStatusEventType
from awsiot import ServiceStreamOptions, V2ServiceException, iotshadow, mqtt5_client_builder, mqtt_connection_builder

SECONDS = 30
host, port, authority, certificate, key, thing = sys.argv[1:]
tls = {"endpoint": host, "port": int(port), "ca_filepath": authority, "cert_filepath": certificate, "pri_key_filepath": key}


def first_generation():
    """MQTT 3.1.1: each topic is subscribed to by itself, and answers are told apart by their tokens."""
    connection = mqtt_connection_builder.mtls_from_path(client_id=thing, clean_session=True, **tls)
    connection.connect().result(SECONDS)
    client = iotshadow.IotShadowClient(connection)
    told = queue.Queue()
    once = awscrt.mqtt.QoS.AT_LEAST_ONCE

    def listen(subscribe, kind, request):
        subscribed, _ = subscribe(request=request, qos=once, callback=lambda event: told.put((kind, event)))
        subscribed.result(SECONDS)

    def next_told(*kinds):
        events = dict(told.get(timeout=SECONDS) for _ in kinds)
        assert set(events) == set(kinds), (kinds, events)
        return events

    listen(client.subscribe_to_update_shadow_accepted, "accepted", iotshadow.UpdateShadowSubscriptionRequest(thing_name=thing))
    listen(client.subscribe_to_update_shadow_rejected, "rejected", iotshadow.UpdateShadowSubscriptionRequest(thing_name=thing))
    listen(client.subscribe_to_get_shadow_accepted, "got", iotshadow.GetShadowSubscriptionRequest(thing_name=thing))
    listen(client.subscribe_to_get_shadow_rejected, "missing", iotshadow.GetShadowSubscriptionRequest(thing_name=thing))
    listen(client.subscribe_to_delete_shadow_accepted, "deleted", iotshadow.DeleteShadowSubscriptionRequest(thing_name=thing))
    listen(client.subscribe_to_shadow_delta_updated_events, "delta", iotshadow.ShadowDeltaUpdatedSubscriptionRequest(thing_name=thing))
    listen(client.subscribe_to_shadow_updated_events, "documents", iotshadow.ShadowUpdatedSubscriptionRequest(thing_name=thing))

    client.publish_get_shadow(iotshadow.GetShadowRequest(thing_name=thing, client_token="g"), once).result(SECONDS)
    missing = next_told("missing")["missing"]
    assert (missing.code, missing.client_token) == (404, "g"), missing

    def update(state, **more):
        request = iotshadow.UpdateShadowRequest(thing_name=thing, state=state, **more)
        client.publish_update_shadow(request, once).result(SECONDS)

    update(iotshadow.ShadowState(desired={"on": True}), client_token="u")
    events = next_told("accepted", "delta", "documents")
    assert (events["accepted"].version, events["accepted"].client_token) == (1, "u")
    assert events["delta"].state == {"on": True}
    assert events["documents"].current.state.desired == {"on": True}
    update(iotshadow.ShadowState(reported={"on": True}))
    events = next_told("accepted", "documents")
    assert events["documents"].previous.version == 1 and events["documents"].current.version == 2
    update(iotshadow.ShadowState(reported={"on": False}), version=1)
    rejected = next_told("rejected")["rejected"]
    assert (rejected.code, rejected.message) == (409, "Version conflict"), rejected
    client.publish_get_shadow(iotshadow.GetShadowRequest(thing_name=thing), once).result(SECONDS)
    got = next_told("got")["got"]
    assert (got.state.desired, got.state.reported, got.state.delta) == ({"on": True}, {"on": True}, None), got
    client.publish_delete_shadow(iotshadow.DeleteShadowRequest(thing_name=thing), once).result(SECONDS)
    assert next_told("deleted")["deleted"].version == 2
    connection.disconnect().result(SECONDS)


def second_generation():
    """MQTT 5: requests with an answer each, and streams of events."""
    connected = queue.Queue()
    connection = mqtt5_client_builder.mtls_from_path(
        client_id=thing,
        on_lifecycle_connection_success=lambda data: connected.put(None),
        on_lifecycle_connection_failure=lambda data: connected.put(data.exception),
        **tls,
    )
    connection.start()
    failure = connected.get(timeout=SECONDS)
    assert failure is None, failure
    client = iotshadow.IotShadowClientV2(connection, ClientOptions(2, 2, SECONDS))
    deltas, states = queue.Queue(), queue.Queue()
    stream = client.create_named_shadow_delta_updated_stream(
        iotshadow.NamedShadowDeltaUpdatedSubscriptionRequest(thing_name=thing, shadow_name="network"),
        ServiceStreamOptions(deltas.put, states.put, lambda failure: deltas.put(failure)),
    )
    stream.open()
    assert states.get(timeout=SECONDS).type == SubscriptionStatusEventType.SUBSCRIPTION_ESTABLISHED
    which = {"thing_name": thing, "shadow_name": "network"}
    try:
        client.get_named_shadow(iotshadow.GetNamedShadowRequest(**which)).result(SECONDS)
        raise AssertionError("there was such a shadow")
    except V2ServiceException as refused:
        error = refused.modeled_error
        assert (error.code, error.message) == (404, f"No shadow exists with name: '{thing}~network'"), error
    state = iotshadow.ShadowState(desired={"ssid": "home"}, reported={"ssid": "old", "rssi": [-60, -61]})
    made = client.update_named_shadow(iotshadow.UpdateNamedShadowRequest(state=state, **which)).result(SECONDS)
    assert made.version == 1 and made.state.desired == {"ssid": "home"}, made
    delta = deltas.get(timeout=SECONDS)
    assert delta.state == {"ssid": "home"}, delta
    got = client.get_named_shadow(iotshadow.GetNamedShadowRequest(**which)).result(SECONDS)
    assert got.state.delta == {"ssid": "home"} and got.state.reported == {"ssid": "old", "rssi": [-60, -61]}, got
    gone = client.delete_named_shadow(iotshadow.DeleteNamedShadowRequest(**which)).result(SECONDS)
    assert gone.version == 1, gone
    connection.stop()


first_generation()
second_generation()
print("done", flush=True)
# Without the interpreter's own end: the SDK's native threads still run then, and now and then crash in what it takes down.
os._exit(0)
