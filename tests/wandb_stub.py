"""As much of a W&B server as runs, `wandb sync` and W&B's public API need, on loopback: it keeps what it is
sent and hands it back.

It answers by the name of a GraphQL operation, with all the fields that any of the clients' operations of that
name ask for."""

import base64
import json
import re
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ENTITY = "me"
PAGE = 4  # items of a list that are answered at once, far below W&B's 50
CREATED = "2026-01-01T00:00:00"


@dataclass
class Run:
    """What arrived of one run; config and summary as they were last sent."""

    project: str
    name: str
    described: dict = field(default_factory=dict)
    lines: dict[str, list[str]] = field(default_factory=dict)  # of history, summary, output, by file
    files: dict[str, bytes] = field(default_factory=dict)
    outputs: list["Artifact"] = field(default_factory=list)
    inputs: list["Artifact"] = field(default_factory=list)
    exit_code: int | None = None

    @property
    def config(self) -> dict:
        return {
            key: entry["value"]
            for key, entry in json.loads(self.described["config"]).items()
            if key != "_wandb"
        }

    @property
    def history(self) -> list[dict]:
        return [json.loads(line) for line in self.lines.get("wandb-history.jsonl", [])]

    @property
    def summary(self) -> dict:
        return json.loads(self.lines["wandb-summary.json"][-1])


@dataclass
class Artifact:
    """One version; contents by path."""

    id: str
    project: str
    kind: str
    name: str
    version: int
    sent: dict
    aliases: set[str] = field(default_factory=set)
    state: str = "PENDING"
    manifest: dict | None = None
    contents: dict[str, bytes] = field(default_factory=dict)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.runs: dict[str, Run] = {}
        self.artifacts: list[Artifact] = []
        self.unknown: set[str] = set()  # operations that were asked for and have no answer here
        self.errors: list[str] = []

    def handle_error(self, request, client_address):
        """A client that hangs up is no error; any other is one that a test sees."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            self.errors.append(traceback.format_exc())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def of(self, project: str, kind: str | None = None, name: str | None = None) -> list[Artifact]:
        """Committed versions, the oldest first."""
        wanted = {"project": project, "kind": kind, "name": name, "state": "COMMITTED"}
        return [
            a
            for a in self.artifacts
            if all(value is None or getattr(a, key) == value for key, value in wanted.items())
        ]


@contextmanager
def serving() -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/graphql":
            request = json.loads(body)
            operation = re.search(r"(?:query|mutation)\s+(\w+)", request["query"])[1]
            with self.server.lock:
                self.answer({"data": self.graphql(operation, request.get("variables") or {})})
        elif self.path.endswith("/file_stream"):
            stream, run = json.loads(body), self.server.runs[self.path.split("/")[-2]]
            for name, chunk in stream.get("files", {}).items():
                run.lines.setdefault(name, []).extend(chunk["content"])
            run.exit_code = stream.get("exitcode", run.exit_code)
            self.answer({})
        else:  # W&B's reports on its own use
            self.answer({})

    def do_PUT(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        _, kind, owner, name = self.path.split("/", 3)
        with self.server.lock:
            if kind == "run":
                self.server.runs[owner].files[name] = content
            else:
                artifact = next(a for a in self.server.artifacts if a.id == owner)
                if kind == "manifest":
                    artifact.manifest = json.loads(content)
                else:
                    artifact.contents[name] = content
        self.answer({})

    def do_GET(self):
        _, kind, owner, *name = self.path.split("/", 3)
        artifact = next((a for a in self.server.artifacts if a.id == owner), None)
        if artifact is None:
            self.answer(None, 404)
        elif kind == "manifest":
            self.answer(artifact.manifest)
        else:
            self.answer(artifact.contents[name[0]])

    def answer(self, content: object, status: int = 200) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

    def graphql(self, operation: str, variables: dict) -> dict:
        answer = getattr(self, f"on_{operation}", None)
        if answer is None:
            self.server.unknown.add(operation)
            return {}
        return answer(variables.get("input", variables))

    # --- runs

    def on_ServerFeaturesQuery(self, _):
        return {"serverInfo": {"features": []}}

    def on_Viewer(self, _):
        return {
            "viewer": {"id": "u", "entity": ENTITY, "username": ENTITY, "flags": "{}", "teams": {"edges": []}}
        }

    on_GetDefaultEntity = on_Viewer

    def on_UpsertBucket(self, sent):
        run = self.server.runs.setdefault(sent["name"], Run(sent["project"], sent["name"]))
        run.described |= {key: value for key, value in sent.items() if value is not None}
        place = {"id": "p", "name": run.project, "entity": {"id": "e", "name": ENTITY}}
        bucket = {
            "id": run.name,
            "name": run.name,
            "displayName": "",
            "description": "",
            "config": "{}",
            "sweepName": None,
            "project": place,
        }
        return {"upsertBucket": {"bucket": {**bucket, "historyLineCount": 0}, "inserted": True}}

    def on_CreateRunFiles(self, sent):
        files = [
            {"name": name, "uploadUrl": f"{self.server.url}/run/{sent['run']}/{name}"}
            for name in sent["files"]
        ]
        return {"createRunFiles": {"runID": sent["run"], "uploadHeaders": [], "files": files}}

    # --- artifacts are sent

    def on_ArtifactType(self, sent):
        found = self.server.of(sent["project"], name=sent["name"].partition(":")[0])
        return {"project": {"artifact": {"artifactType": {"name": found[0].kind}} if found else None}}

    def on_CreateArtifact(self, sent):
        """A version that has this content already is that version."""
        place = sent["projectName"], sent["artifactTypeName"], sent["artifactCollectionName"]
        versions = [a for a in self.server.artifacts if (a.project, a.kind, a.name) == place]
        artifact = next((a for a in versions if a.sent["digest"] == sent["digest"]), None)
        if artifact is None:
            key = base64.b64encode(f"Artifact:{len(self.server.artifacts)}".encode()).decode()
            artifact = Artifact(key, *place, len(versions), sent)
            self.server.artifacts.append(artifact)
        for alias in [a["alias"] for a in sent.get("aliases") or []]:
            for other in versions:
                other.aliases.discard(alias)
            artifact.aliases.add(alias)
        if sent.get("runName"):
            self.server.runs[sent["runName"]].outputs.append(artifact)
        latest = {"id": versions[-1].id, "versionIndex": versions[-1].version} if versions else None
        sequence = {"id": "s", "latestArtifact": latest}
        return {
            "createArtifact": {
                "artifact": {"id": artifact.id, "state": artifact.state, "artifactSequence": sequence}
            }
        }

    def on_CreateArtifactManifest(self, sent):
        file = {
            "id": "f",
            "uploadUrl": f"{self.server.url}/manifest/{sent['artifactID']}/manifest",
            "uploadHeaders": [],
        }
        return {"createArtifactManifest": {"artifactManifest": {"id": sent["artifactID"], "file": file}}}

    def on_CreateArtifactFiles(self, sent):
        nodes = [
            {
                "storagePath": file["name"],
                "uploadUrl": f"{self.server.url}/file/{file['artifactID']}/{file['name']}",
                "uploadHeaders": [], "uploadMultipartUrls": None, "artifact": {"id": file["artifactID"]},
            }
            for file in sent["artifactFiles"]
        ]  # fmt: skip
        return {"createArtifactFiles": {"files": {"edges": [{"node": node} for node in nodes]}}}

    def on_CommitArtifact(self, sent):
        artifact = self.by_id(sent["artifactID"])
        artifact.state = "COMMITTED"
        return {"commitArtifact": {"artifact": {"id": artifact.id, "digest": artifact.sent["digest"]}}}

    def on_UseArtifact(self, sent):
        self.server.runs[sent["runName"]].inputs.append(self.by_id(sent["artifactID"]))
        return {"useArtifact": {"artifact": {"id": sent["artifactID"]}}}

    # --- artifacts are asked for

    def by_id(self, key: str) -> Artifact:
        return next(a for a in self.server.artifacts if a.id == key)

    def place(self, project: str) -> dict:
        return {"id": "p", "internalId": "1", "name": project, "entity": {"name": ENTITY}}

    def described(self, a: Artifact) -> dict:
        collection = {"__typename": "ArtifactSequence", "name": a.name, "project": self.place(a.project)}
        aliases = [
            {"__typename": "ArtifactAlias", "id": alias, "alias": alias, "artifactCollection": collection}
            for alias in sorted(a.aliases)
        ]
        return {
            "__typename": "Artifact", "id": a.id, "artifactSequence": collection, "versionIndex": a.version,
            "artifactType": {"name": a.kind}, "description": None, "metadata": a.sent.get("metadata"),
            "ttlDurationSeconds": -2, "ttlIsInherited": True, "tags": [], "historyStep": None,
            "state": a.state, "size": sum(map(len, a.contents.values())), "digest": a.sent["digest"],
            "commitHash": "c", "fileCount": len(a.contents), "createdAt": CREATED, "updatedAt": CREATED,
            "aliases": aliases,
        }  # fmt: skip

    def listed(self, nodes: list[dict], sent: dict) -> dict:
        """One page of them."""
        start = int(sent.get("cursor") or 0)
        end = start + min(PAGE, sent.get("perPage") or PAGE)
        page = {"__typename": "PageInfo", "endCursor": str(end), "hasNextPage": end < len(nodes)}
        return {
            "totalCount": len(nodes),
            "pageInfo": page,
            "edges": [{"node": node, "cursor": "c"} for node in nodes[start:end]],
        }

    def on_ProjectArtifactTypes(self, sent):
        if sent["entity"] != ENTITY or not any(
            run.project == sent["project"] for run in self.server.runs.values()
        ):
            return {"project": None}
        kinds = dict.fromkeys(a.kind for a in self.server.of(sent["project"]))
        nodes = [
            {
                "__typename": "ArtifactType",
                "id": kind,
                "name": kind,
                "description": None,
                "createdAt": CREATED,
            }
            for kind in kinds
        ]
        return {"project": {"artifactTypes": self.listed(nodes, sent)}}

    def on_ArtifactTypeArtifactCollections(self, sent):
        names = dict.fromkeys(a.name for a in self.server.of(sent["project"], sent["type"]))
        nodes = [
            {
                "__typename": "ArtifactSequence", "id": name, "name": name, "description": None,
                "createdAt": CREATED, "updatedAt": None, "project": self.place(sent["project"]),
                "type": {"name": sent["type"]}, "tags": {"edges": []},
            }
            for name in names
        ]  # fmt: skip
        return {"project": {"artifactType": {"artifactCollections": self.listed(nodes, sent)}}}

    def on_ProjectArtifacts(self, sent):
        found = self.server.of(sent["project"], sent["type"], sent["collection"])
        answer = self.listed([self.described(a) for a in found], sent)
        for edge in answer["edges"]:
            edge["version"] = f"v{edge['node']['versionIndex']}"
        return {
            "project": {
                "artifactType": {
                    "artifactCollection": {"__typename": "ArtifactSequence", "artifacts": answer}
                }
            }
        }

    def on_ArtifactMembershipByName(self, sent):
        name, _, alias = sent["name"].partition(":")
        found = [
            a for a in self.server.of(sent["project"], name=name) if alias in (*a.aliases, f"v{a.version}")
        ]
        if not found:
            return {"project": {"artifactCollectionMembership": None}}
        artifact = self.described(found[0])
        member = {
            "__typename": "ArtifactCollectionMembership", "id": "m", "versionIndex": found[0].version,
            "createdAt": CREATED, "aliases": artifact["aliases"],
            "artifactCollection": artifact["artifactSequence"], "artifact": artifact,
        }  # fmt: skip
        return {"project": {"artifactCollectionMembership": member}}

    def on_Runs(self, sent):
        found = [run for run in self.server.runs.values() if run.project == sent["project"]]
        if sent["entity"] != ENTITY or not found:
            return {"project": None}
        nodes = [
            {
                "projectId": "1", "id": run.name, "name": run.name, "tags": [], "sweepName": None,
                "displayName": run.described.get("displayName") or run.name, "state": "finished",
                "config": run.described.get("config", "{}"), "group": run.described.get("groupName"),
                "jobType": None, "commit": None, "readOnly": False, "createdAt": CREATED,
                "heartbeatAt": CREATED, "description": None, "notes": None, "systemMetrics": "{}",
                "summaryMetrics": "{}", "historyLineCount": 0, "historyKeys": None,
                "user": {"name": ENTITY, "username": ENTITY},
            }
            for run in found
        ]  # fmt: skip
        listed = self.listed(nodes, sent)
        for place, edge in enumerate(listed["edges"], int(sent.get("cursor") or 0) + 1):
            edge["cursor"] = str(place)  # W&B goes on from the last of them
        return {"project": {"internalId": "1", "runCount": len(nodes), "readOnly": False, "runs": listed}}

    def on_RunOutputArtifacts(self, sent):
        outputs = [a for a in self.server.runs[sent["run"]].outputs if a.state == "COMMITTED"]
        listed = self.listed([self.described(a) for a in outputs], sent)
        return {"project": {"run": {"artifacts": listed}}}

    def on_FetchArtifactManifest(self, sent):
        return {
            "artifact": {
                "currentManifest": {
                    "file": {"directUrl": f"{self.server.url}/manifest/{sent['id']}/manifest"}
                }
            }
        }

    def on_GetArtifactMembershipFileUrls(self, sent):
        found = next(
            a
            for a in self.server.of(sent["project"], name=sent["collection"])
            if f"v{a.version}" == sent["alias"]
        )
        urls = {name: f"{self.server.url}/file/{found.id}/{name}" for name in found.contents}
        files = self.listed(
            [{"__typename": "File", "name": name, "directUrl": url} for name, url in urls.items()], sent
        )
        return {
            "project": {
                "artifactCollection": {
                    "__typename": "ArtifactSequence",
                    "artifactMembership": {"files": files},
                }
            }
        }
