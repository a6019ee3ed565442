"""Holds messages of a real conversation to docs/asyncapi.yaml, and that to AsyncAPI's own schema.

Usage: messages.py ASYNCAPI_YAML SCHEMA_OF_ASYNCAPI MESSAGES, where MESSAGES has a line of JSON for
each message: `{"sent": bool, "message": …}`. Needs PyYAML and jsonschema-rs. Prints `all keep it`.
"""

import json
import sys

import jsonschema_rs
import yaml


def resolved(document, value):
    """`value` with its references to parts of the document replaced by these."""
    if isinstance(value, dict):
        if "$ref" in value:
            part = document
            for name in value["$ref"].removeprefix("#/").split("/"):
                part = part[name]
            return resolved(document, part)
        return {name: resolved(document, inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [resolved(document, inner) for inner in value]
    return value


def main(contract, schema, conversation):
    with open(contract, encoding="utf-8") as file:
        document = yaml.safe_load(file)
    with open(schema, encoding="utf-8") as file:
        jsonschema_rs.validator_for(json.load(file)).validate(document)
    operations = resolved(document, document["operations"])
    payloads = {}
    for sent, operation, name in [(True, "clientSays", "action"), (False, "serverSays", "type")]:
        for message in operations[operation]["messages"]:
            payload = message["payload"]
            payloads[sent, payload["properties"][name]["const"]] = jsonschema_rs.validator_for(
                payload, validate_formats=True
            )
            for example in message.get("examples", []):
                jsonschema_rs.validator_for(payload).validate(example["payload"])
    unseen = set(payloads)
    with open(conversation, encoding="utf-8") as file:
        for line in file:
            entry = json.loads(line)
            sent, message = entry["sent"], entry["message"]
            key = sent, message["action" if sent else "type"]
            if key not in payloads:
                sys.exit(f"not in the contract: {line}")
            payloads[key].validate(message)
            unseen.discard(key)
    if unseen:
        sys.exit(f"in the contract, but never said: {sorted(unseen)}")
    print("all keep it")


if __name__ == "__main__":
    main(*sys.argv[1:])
