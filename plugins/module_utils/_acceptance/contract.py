# Copyright (c) 2026, HostUp Cloud collection contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The contract's schemas: what each operation is to answer, and how that is known.

It says the same as the emulator's OpenAPI file, to which a test holds it. An answer without a schema has no body.
"""

from __future__ import annotations

import typing as t

OPERATIONS: dict[str, t.Any] = {
    "listVps": {
        "known": "public",
        "answers": {
            "200": {
                "type": "object",
                "required": ["data", "nextCursor"],
                "properties": {
                    "data": {"type": "array", "items": {"$ref": "#/components/schemas/Vps"}},
                    "nextCursor": {"type": ["string", "null"]},
                },
            }
        },
    },
    "getVps": {
        "known": "public",
        "answers": {
            "200": {
                "allOf": [
                    {"$ref": "#/components/schemas/Vps"},
                    {"properties": {"actions": {"$ref": "#/components/schemas/PowerGates"}}},
                ]
            }
        },
    },
    "getVpsDetails": {
        "known": "public",
        "answers": {
            "200": {
                "allOf": [
                    {"$ref": "#/components/schemas/Vps"},
                    {
                        "type": "object",
                        "required": ["ipAddresses"],
                        "properties": {
                            "ipAddresses": {"type": "array", "items": {"type": "string"}},
                            "actions": {"$ref": "#/components/schemas/PowerGates"},
                        },
                    },
                ]
            }
        },
    },
    "getVpsStatus": {
        "known": "public",
        "answers": {
            "200": {
                "type": "object",
                "required": ["powerState", "uptime", "usage", "pendingTasks"],
                "properties": {
                    "powerState": {"$ref": "#/components/schemas/PowerState"},
                    "uptime": {"type": "integer", "minimum": 0},
                    "usage": {"type": "object", "additionalProperties": {"type": "number"}},
                    "pendingTasks": {"type": "array", "items": {"type": "string"}},
                    "actions": {"$ref": "#/components/schemas/PowerGates"},
                },
            }
        },
    },
    "getVpsStorage": {
        "known": "public",
        "answers": {
            "200": {
                "type": "object",
                "required": ["disks"],
                "properties": {
                    "disks": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["id", "name", "type", "device", "isCdrom", "bootOrder"],
                            "properties": {
                                "id": {"type": "string"},
                                "name": {"type": ["string", "null"]},
                                "type": {"type": ["string", "null"]},
                                "device": {"type": ["string", "null"]},
                                "isCdrom": {"type": "boolean"},
                                "bootOrder": {"type": ["integer", "null"]},
                            },
                        },
                    }
                },
            }
        },
    },
    "readIso": {"known": "stated", "answers": {"200": {"$ref": "#/components/schemas/IsoState"}}},
    "downloadIso": {
        "known": "stated",
        "answers": {
            "200": {
                "type": "object",
                "required": ["operation"],
                "properties": {
                    "operation": {
                        "allOf": [
                            {"$ref": "#/components/schemas/Operation"},
                            {"properties": {"status": {"const": "completed"}}},
                        ]
                    }
                },
            },
            "202": {
                "type": "object",
                "required": ["operation"],
                "properties": {"operation": {"$ref": "#/components/schemas/Operation"}},
            },
        },
    },
    "mountIso": {
        "known": "inferred",
        "answers": {
            "200": {
                "type": "object",
                "required": ["device"],
                "properties": {"device": {"$ref": "#/components/schemas/Device"}},
            },
            "202": {
                "type": "object",
                "required": ["operation"],
                "properties": {"operation": {"$ref": "#/components/schemas/Operation"}},
            },
        },
    },
    "unmountIso": {
        "known": "stated",
        "answers": {
            "200": {
                "type": "object",
                "required": ["device"],
                "properties": {"device": {"$ref": "#/components/schemas/Device"}},
            }
        },
    },
    "attachEmptyDrive": {
        "known": "inferred",
        "answers": {
            "200": {
                "type": "object",
                "required": ["device"],
                "properties": {"device": {"$ref": "#/components/schemas/Device"}},
            },
            "202": {
                "type": "object",
                "required": ["operation"],
                "properties": {"operation": {"$ref": "#/components/schemas/Operation"}},
            },
        },
    },
    "deleteIso": {"known": "inferred", "answers": {"204": {}}},
    "pollJob": {"known": "public", "answers": {"200": {"$ref": "#/components/schemas/JobPoll"}}},
}

PROBLEM: dict[str, t.Any] = {
    "application/problem+json": {"$ref": "#/components/schemas/Problem"},
    "application/json": {
        "anyOf": [
            {"$ref": "#/components/schemas/Problem"},
            {"$ref": "#/components/schemas/LegacyError"},
            {"$ref": "#/components/schemas/CloudflareError"},
        ]
    },
}

SCHEMAS: dict[str, t.Any] = {
    "Device": {"type": "string", "enum": ["ide0", "ide1", "ide2", "ide3"]},
    "Time": {"type": "string", "pattern": "^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z$"},
    "JobStatus": {"type": "string"},
    "Operation": {
        "type": "object",
        "required": ["status", "jobId", "pollUrl"],
        "properties": {
            "status": {"$ref": "#/components/schemas/JobStatus"},
            "jobId": {"type": ["string", "null"], "pattern": "^job_"},
            "pollUrl": {"type": ["string", "null"]},
            "result": {"type": ["object", "null"]},
        },
    },
    "JobPoll": {
        "anyOf": [
            {
                "type": "object",
                "required": ["operation"],
                "properties": {"operation": {"$ref": "#/components/schemas/Operation"}},
            },
            {
                "type": "object",
                "required": ["status"],
                "properties": {
                    "status": {"$ref": "#/components/schemas/JobStatus"},
                    "progress": {"type": "number"},
                    "data": {"type": "object"},
                },
            },
            {
                "type": "object",
                "required": ["success", "timestamp", "requestId", "data"],
                "properties": {
                    "success": {"type": "boolean"},
                    "timestamp": {"$ref": "#/components/schemas/Time"},
                    "requestId": {"type": "string"},
                    "data": {
                        "type": "object",
                        "required": [
                            "jobId",
                            "type",
                            "state",
                            "status",
                            "progress",
                            "isCompleted",
                            "isFailed",
                            "isRunning",
                            "isWaiting",
                        ],
                        "properties": {
                            "jobId": {"type": "string"},
                            "type": {"type": "string"},
                            "state": {"type": "string"},
                            "status": {"$ref": "#/components/schemas/JobStatus"},
                            "progress": {"type": ["number", "null"]},
                            "progressDetails": {"type": "object"},
                            "progressMessage": {"type": ["string", "null"]},
                            "result": {"type": ["object", "null"]},
                            "error": {"type": "string"},
                            "isCompleted": {"type": "boolean"},
                            "isFailed": {"type": "boolean"},
                            "isRunning": {"type": "boolean"},
                            "isWaiting": {"type": "boolean"},
                            "createdAt": {"$ref": "#/components/schemas/Time"},
                            "finishedAt": {"anyOf": [{"$ref": "#/components/schemas/Time"}, {"type": "null"}]},
                        },
                    },
                },
            },
        ]
    },
    "PowerState": {
        "enum": ["running", "stopped", "starting", "stopping", "paused", "provisioning", "error", "unknown", None]
    },
    "PowerGates": {
        "type": "object",
        "required": ["canStart", "canShutdown", "canStop", "canRestart", "canReset"],
        "additionalProperties": {"$ref": "#/components/schemas/Gate"},
    },
    "Vps": {
        "type": "object",
        "required": ["id", "name", "primaryIp", "serviceStatus", "powerState", "operatingSystem"],
        "properties": {
            "id": {"type": "string", "pattern": "^vps_"},
            "name": {"type": "string"},
            "primaryIp": {"type": ["string", "null"]},
            "serviceStatus": {
                "enum": ["active", "suspended", "terminated", "pending", "cancelled", "expired", "fraud", "unknown"]
            },
            "powerState": {"$ref": "#/components/schemas/PowerState"},
            "operatingSystem": {
                "type": ["object", "null"],
                "properties": {
                    "displayName": {"type": ["string", "null"]},
                    "family": {"type": ["string", "null"]},
                    "version": {"type": ["string", "null"]},
                    "variant": {"type": ["string", "null"]},
                },
            },
            "billing": {"type": "object"},
            "resources": {
                "type": "object",
                "properties": {
                    "cpuCores": {"type": "number"},
                    "memoryGb": {"type": "number"},
                    "storageGb": {"type": "number"},
                },
            },
            "tags": {"type": "array", "items": {"type": "string"}},
        },
    },
    "IsoState": {
        "type": "object",
        "required": ["available", "mounted", "bootOrder", "availableDevices", "actions"],
        "properties": {
            "available": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["id", "name", "displayName", "sizeGb", "format"],
                    "properties": {
                        "id": {"type": "string"},
                        "name": {"type": ["string", "null"]},
                        "displayName": {"type": ["string", "null"]},
                        "sizeGb": {"type": "number"},
                        "format": {"type": ["string", "null"]},
                    },
                },
            },
            "mounted": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["device", "isoId", "mounted", "isCloudInit"],
                    "properties": {
                        "device": {"type": ["string", "null"]},
                        "isoId": {"type": ["string", "null"]},
                        "mounted": {"type": "boolean"},
                        "isCloudInit": {"type": "boolean"},
                    },
                },
            },
            "bootOrder": {
                "type": ["object", "null"],
                "required": ["order", "devices", "availableDevices"],
                "properties": {
                    "order": {"type": "array", "items": {"type": "string"}},
                    "devices": {"type": "object", "additionalProperties": {"type": "string"}},
                    "availableDevices": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["id", "name", "type"],
                            "properties": {
                                "id": {"type": "string"},
                                "name": {"type": "string"},
                                "type": {"type": "string"},
                            },
                        },
                    },
                },
            },
            "availableDevices": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["device", "type", "description", "inUse"],
                    "properties": {
                        "device": {"type": ["string", "null"]},
                        "type": {"type": ["string", "null"]},
                        "description": {"type": ["string", "null"]},
                        "inUse": {"type": "boolean"},
                    },
                },
            },
            "actions": {
                "type": "object",
                "required": ["canMount", "canUpload"],
                "properties": {
                    "canMount": {"$ref": "#/components/schemas/Gate"},
                    "canUpload": {"$ref": "#/components/schemas/Gate"},
                },
            },
        },
    },
    "Gate": {
        "type": "object",
        "required": ["allowed", "reason"],
        "properties": {
            "allowed": {"type": "boolean"},
            "reason": {"type": ["string", "null"]},
            "code": {"type": ["string", "null"]},
        },
    },
    "Problem": {
        "type": "object",
        "required": ["type", "title", "status", "detail", "code", "instance", "requestId", "timestamp"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "code": {"type": "string"},
            "instance": {"type": "string"},
            "requestId": {"type": "string", "pattern": "^req_[0-9a-hjkmnp-tv-z]{26}$"},
            "timestamp": {"$ref": "#/components/schemas/Time"},
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["pointer", "detail", "code"],
                    "properties": {
                        "pointer": {"type": "string"},
                        "detail": {"type": "string"},
                        "code": {"type": "string"},
                    },
                },
            },
            "extensions": {"type": "object"},
        },
    },
    "LegacyError": {
        "type": "object",
        "required": ["error", "message", "requestId"],
        "properties": {
            "error": {"type": "string"},
            "message": {"type": "string"},
            "code": {"type": "string"},
            "requestId": {"type": "string"},
            "timestamp": {"$ref": "#/components/schemas/Time"},
            "retryAfter": {"type": "number"},
            "details": {
                "type": "array",
                "items": {"type": "object", "properties": {"field": {"type": "string"}, "message": {"type": "string"}}},
            },
        },
    },
    "CloudflareError": {
        "type": "object",
        "required": ["cloudflare_error"],
        "properties": {
            "cloudflare_error": {"const": True},
            "error_code": {"type": "integer"},
            "ray_id": {"type": "string"},
        },
    },
}
