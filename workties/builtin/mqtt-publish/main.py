"""Publishes one message to an MQTT broker."""

import json
from typing import Any

from workties import StepFailed, Workty


class MqttPublish(Workty):
    """Publishes in one state, which an interrupted attempt enters again: the broker may get the message twice."""

    states = ("preparing", "publishing", "published")

    def on_enter_preparing(self) -> None:
        topic, qos = self.properties["topic"], self.properties["qos"]
        if not topic or any(wild in topic for wild in "+#\0"):
            raise StepFailed(f"Property 'topic': expected a topic without + and #, got {topic!r}")
        if qos not in (0, 1):
            raise StepFailed(f"Property 'qos': expected 0 or 1, got {qos!r}")

    def on_enter_publishing(self) -> None:
        import sending  # noqa: PLC0415  (MQTT's client, which the other states need not load)

        given, payload = self.properties, encode(self.properties["payload"])
        broker = sending.Broker(
            host=given["host"],
            port=given["port"] or (8883 if given["tls"] else 1883),
            username=given["username"],
            password=given["password"],
            tls=given["tls"],
            ca=given["ca"],
        )
        self.progress(0.1, f"connecting to {broker.address}")
        with sending.connection(broker, given["timeout"]) as publish:
            self.progress(0.5, f"publishing {len(payload)} bytes")
            publish(given["topic"], payload, qos=given["qos"], retain=given["retain"])
        self.output.update(broker=broker.address, topic=given["topic"], bytes=len(payload))

    def on_enter_published(self) -> None:
        self.output["acknowledged"] = self.properties["qos"] == 1
        self.progress(1, "published")


def encode(payload: Any) -> bytes:
    """A text as it is, any other value as JSON; both in UTF-8."""
    text = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    return text.encode()
