"""What schemathesis makes up and the contract leaves free; scripts/schemathesis loads it."""

import schemathesis


@schemathesis.hook
def map_body(context, body):
    """To JSON Schema 1.0 is an integer; whether a server takes it for one is free."""
    if isinstance(body, dict):
        qty = body.get("qty")
        if isinstance(qty, float) and qty.is_integer():
            return {**body, "qty": int(qty)}
    return body
