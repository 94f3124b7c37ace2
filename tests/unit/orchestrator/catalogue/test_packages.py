"""Packages by digest, and the secret behind their links."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from orchestrator.catalogue.packages import PackageLinks, PackageStore, link_secret
from orchestrator.embedded import embedded_database

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_a_package_is_stored_once_under_its_digest() -> None:
    db = embedded_database()
    store = PackageStore(db)
    assert store.put(b"code") == store.put(b"code") == sha256(b"code").hexdigest()
    assert db["packages"].count_documents({}) == 1
    assert store.get(sha256(b"code").hexdigest()) == b"code"
    assert store.get("0" * 64) is None


def test_all_who_share_a_database_share_the_secret() -> None:
    db = embedded_database()
    with ThreadPoolExecutor(4) as pool:
        secrets = set(pool.map(lambda _: link_secret(db), range(8)))
    assert len(secrets) == 1
    assert len(secrets.pop()) == 32
    assert link_secret(embedded_database()) != link_secret(db)


def test_a_link_is_good_until_it_ends_and_only_with_its_secret() -> None:
    links, others = PackageLinks(b"one", "http://server/"), PackageLinks(b"two", "http://server")
    url, ends = links.url("ab", NOW)
    assert url.startswith("http://server/api/v1/packages/ab?expires=")
    assert ends == NOW + timedelta(minutes=10)
    expires, signature = (part.partition("=")[2] for part in url.partition("?")[2].split("&"))
    assert links.check("ab", expires, signature, ends - timedelta(seconds=1))
    assert not links.check("ab", expires, signature, ends)
    assert not links.check("ac", expires, signature, NOW)
    assert not others.check("ab", expires, signature, NOW)
