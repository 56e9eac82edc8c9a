"""The official device SDK's provisioning clients, as they are: its arguments are the server's host and port, its authority, a
claim's certificate and key, and a device's signing request and key. The device has the serial number S1."""

import os
import queue
import sys

import awscrt.mqtt
from awscrt.mqtt_request_response import ClientOptions
from awsiot import V2ServiceException, iotidentity, mqtt5_client_builder, mqtt_connection_builder

SECONDS = 30
host, port, authority, claim, claim_key, csr_path, key_path = sys.argv[1:]
where = {"endpoint": host, "port": int(port), "ca_filepath": authority}
with open(csr_path) as file:
    csr = file.read()
with open(key_path, "rb") as file:
    key = file.read()


def first_generation():
    """MQTT 3.1.1: asks for a certificate, and does not register with it."""
    connection = mqtt_connection_builder.mtls_from_path(
        client_id="factory-1", clean_session=True, cert_filepath=claim, pri_key_filepath=claim_key, **where
    )
    connection.connect().result(SECONDS)
    client = iotidentity.IotIdentityClient(connection)
    told = queue.Queue()
    once = awscrt.mqtt.QoS.AT_LEAST_ONCE
    asked = iotidentity.CreateCertificateFromCsrSubscriptionRequest()
    for subscribe, kind in (
        (client.subscribe_to_create_certificate_from_csr_accepted, "accepted"),
        (client.subscribe_to_create_certificate_from_csr_rejected, "rejected"),
    ):
        subscribed, _ = subscribe(request=asked, qos=once, callback=lambda event, kind=kind: told.put((kind, event)))
        subscribed.result(SECONDS)

    def ask(text):
        request = iotidentity.CreateCertificateFromCsrRequest(certificate_signing_request=text)
        client.publish_create_certificate_from_csr(request, once).result(SECONDS)
        return told.get(timeout=SECONDS)

    kind, refused = ask("nonsense")
    assert (kind, refused.status_code, refused.error_code) == ("rejected", 400, "InvalidCertificateSigningRequest"), refused
    kind, given = ask(csr)
    assert kind == "accepted" and given.certificate_ownership_token, given
    connection.disconnect().result(SECONDS)
    return given.certificate_id


def connected(**with_identity):
    """A client of MQTT 5, and how to end it."""
    events, stopped = queue.Queue(), queue.Queue()
    connection = mqtt5_client_builder.mtls_from_bytes(
        on_lifecycle_connection_success=lambda data: events.put(None),
        on_lifecycle_connection_failure=lambda data: events.put(data.exception),
        on_lifecycle_stopped=lambda data: stopped.put(None),
        **with_identity,
        **where,
    )
    connection.start()
    failure = events.get(timeout=SECONDS)
    assert failure is None, failure

    def end():
        connection.stop()
        stopped.get(timeout=SECONDS)

    return connection, end


def second_generation():
    """MQTT 5: the whole of it, and the connection with the new certificate."""
    with open(claim, "rb") as certificate, open(claim_key, "rb") as its_key:
        connection, end = connected(client_id="factory-1", cert_bytes=certificate.read(), pri_key_bytes=its_key.read())
    client = iotidentity.IotIdentityClientV2(connection, ClientOptions(2, 2, SECONDS))
    request = iotidentity.CreateCertificateFromCsrRequest(certificate_signing_request=csr)
    given = client.create_certificate_from_csr(request).result(SECONDS)

    def register(token):
        request = iotidentity.RegisterThingRequest(
            template_name="lamps", certificate_ownership_token=token, parameters={"SerialNumber": "S1"}
        )
        return client.register_thing(request).result(SECONDS)

    try:
        register("no-such-token")
        raise AssertionError("a token was made up")
    except V2ServiceException as refused:
        assert refused.modeled_error.error_code == "InvalidCertificateOwnershipToken", refused.modeled_error
    registered = register(given.certificate_ownership_token)
    assert registered.thing_name == "lamp-S1" and registered.device_configuration == {"greeting": "hello S1"}, registered
    end()
    _, end = connected(client_id="lamp-S1", cert_bytes=given.certificate_pem.encode(), pri_key_bytes=key)
    end()
    return given.certificate_id


first, second = first_generation(), second_generation()
assert first == second, "the same key is given the same certificate"
print(second, flush=True)
# Without the interpreter's own end: the SDK's native threads still run then, and now and then crash in what it takes down.
os._exit(0)
