"""Retrieval by address and digest: whole with the right digest, or not at all."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from understudy.errors import InputError
from understudy.retrieval import retrieve

CONTENT = bytes(range(256)) * 10_000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """`/whole` answers with the content, `/cut` breaks off half way, all else is missing."""

    def do_GET(self):
        if self.path not in ("/whole", "/cut"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT if self.path == "/whole" else CONTENT[: len(CONTENT) // 2])

    def log_message(self, *arguments):
        """Keep the test's output clean."""


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_a_file_arrives_whole_with_progress(server, tmp_path):
    seen = []
    target = tmp_path / "new folder" / "lines.trk"
    assert retrieve(f"{server}/whole", target, DIGEST, lambda *amounts: seen.append(amounts)) == target
    assert target.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT)) and len(seen) >= 2
    assert [path.name for path in target.parent.iterdir()] == ["lines.trk"]


def test_a_file_address_and_a_prefixed_digest_are_accepted(tmp_path, capsys):
    (tmp_path / "source.trk").write_bytes(CONTENT)
    retrieve((tmp_path / "source.trk").as_uri(), tmp_path / "copy.trk", f"sha256:{DIGEST.upper()}")
    assert (tmp_path / "copy.trk").read_bytes() == CONTENT
    assert "(100%)" in capsys.readouterr().out


def test_a_file_that_is_there_is_not_fetched_again(tmp_path):
    (tmp_path / "lines.trk").write_bytes(CONTENT)
    retrieve((tmp_path / "nowhere.trk").as_uri(), tmp_path / "lines.trk", DIGEST)


@pytest.mark.parametrize(
    ("address", "digest", "message"),
    [
        ("/whole", "0" * 64, f"found content with SHA-256 {DIGEST}; accepted is {'0' * 64}"),
        ("/cut", DIGEST, "connection broke after"),
        ("/missing", DIGEST, "404"),
    ],
)
def test_a_failure_keeps_the_old_file_and_leaves_no_rest(server, tmp_path, address, digest, message):
    target = tmp_path / "lines.trk"
    target.write_bytes(b"old")
    with pytest.raises(InputError, match=message):
        retrieve(server + address, target, digest)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_an_address_that_does_not_answer_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.trk: found no readable file"):
        retrieve((tmp_path / "nowhere.trk").as_uri(), tmp_path / "lines.trk", DIGEST)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "digest", "message"),
    [
        ("ftp://example.org/a.trk", DIGEST, r"url: found 'ftp://.*accepted are addresses with https"),
        ("https://example.org/a.trk", "abc", "sha256: found 'abc'; accepted are 64 hexadecimal digits"),
    ],
)
def test_malformed_arguments_are_refused_before_anything_is_made(tmp_path, url, digest, message):
    with pytest.raises(InputError, match=message):
        retrieve(url, tmp_path / "folder" / "a.trk", digest)
    assert list(tmp_path.iterdir()) == []
