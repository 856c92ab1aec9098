"""The FastAPI routes and who may come through each. A route that stands in no table cannot be called."""

from broker.api.lean import JSON_BODY, Door, Route

ORDINARY_ROUTES = [
    Route("GET", "/", Door.PUBLIC, is_noted=False),
    Route("GET", "/health", Door.PUBLIC, is_noted=False),
    Route("GET", "/dashboard/{file_path:path}", Door.PUBLIC, is_noted=False),
    Route("GET", "/openapi.json", Door.PUBLIC),
    Route("GET", "/jobs", Door.CLIENT, answers={404: None}),
    Route("DELETE", "/jobs", Door.ADMIN),
    Route("GET", "/jobs/{job_id}", Door.CLIENT),
    Route("DELETE", "/jobs/{job_id}", Door.CLIENT),
    Route("POST", "/jobs/{job_id}/retry", Door.CLIENT, answers={507: None}),
    Route("GET", "/workers", Door.ADMIN),
    Route("POST", "/workers/{worker_id}/directives", Door.ADMIN, JSON_BODY),
    Route("GET", "/webhooks", Door.ADMIN),
    Route("POST", "/webhooks/{webhook_id}/resend", Door.ADMIN),
    Route("DELETE", "/api/logs", Door.ADMIN),
    Route("GET", "/keys", Door.ADMIN),
    Route("POST", "/keys", Door.ADMIN, JSON_BODY),
    Route("POST", "/keys/{key_id}/rotate", Door.ADMIN),
    Route("DELETE", "/keys/{key_id}", Door.ADMIN),
    Route("GET", "/pairings", Door.ADMIN, is_noted=False),
    Route("POST", "/pairings/{pairing_id}/confirm", Door.ADMIN, JSON_BODY, answers={409: None}),
    Route("DELETE", "/pairings/{pairing_id}", Door.ADMIN, answers={409: None}),
]
