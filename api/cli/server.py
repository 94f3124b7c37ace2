"""The processes of a real server: `workty api` and `workty orchestrator`, over RabbitMQ and MongoDB."""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from flask import Flask
from pymongo.database import Database
from pymongo.errors import PyMongoError

from api.cli.stopping import log_to_stderr, stop_on_signals
from api.live.channel import Channel
from api.live.telling import Telling
from api.server import create_app, listen, serve_gunicorn
from api.services import Services, assemble
from api.settings import ApiSettings
from orchestrator import broker
from orchestrator.boards.store import INDEXES as BOARD_INDEXES
from orchestrator.catalogue.packages import PackageLinks, link_secret
from orchestrator.core import Core, Orchestrator, build_core, utc_now
from orchestrator.database import connect, create_indexes
from orchestrator.errors import BadSettings, Unavailable
from orchestrator.live import Audience
from orchestrator.runs.reconcile import Timing
from orchestrator.runs.retention import keep_runs, mark_older_runs
from orchestrator.runs.store import INDEXES as RUN_INDEXES
from orchestrator.runs.vocabulary import StoredPackage
from orchestrator.seed import seed
from orchestrator.settings import BOTH_URLS, ServerSettings, load
from workties.errors import TracingMissing
from workties.messages import Package
from workties.tracing import NO_TRACING, Tracing, tracing_from

log = logging.getLogger(__name__)

#: How long (seconds) a request waits for a database that is away: clients are told within two seconds. The driver looks
#: every half second, and a wait that ends just at a look would last until the next one.
ANSWER_SECONDS = 0.9


def serve_api(environ: Mapping[str, str], threads: int) -> int:
    """Serve REST and the live API until SIGTERM; returns an exit code."""
    settings = load(environ, required=BOTH_URLS)
    tls = certificate(settings)
    listener = listen(settings.host, settings.port)
    log_to_stderr(settings.log_level, settings.log_format)
    database = prepared_database(settings)
    seeded = seed(database, settings.admin_email, settings.admin_password, utc_now())
    if seeded.generated_password is not None:
        log.warning("First account %s, password (shown once): %s", settings.admin_email, seeded.generated_password)
    keep_runs(database, settings.run_days)
    database.client.close()
    log.info("REST and live API: %s/api/v1", settings.public_url)
    serve_gunicorn(lambda: web_application(settings, tracing(environ, "workty-api")), listener, threads, tls)
    return 0


def tracing(environ: Mapping[str, str], service: str) -> Tracing:
    """The tracing that the environment asks for. Raises `BadSettings` if it cannot be had."""
    try:
        return tracing_from(environ, service)
    except TracingMissing as error:
        raise BadSettings([str(error)]) from error


def certificate(settings: ServerSettings) -> tuple[str, str] | None:
    """The files with certificate and key, None without TLS. Raises `BadSettings` if they cannot be used."""
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(settings.tls_cert, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise BadSettings(
            [f"WORKTY_TLS_CERT and WORKTY_TLS_KEY cannot be used ({error.strerror or error}). Both are PEM files"]
        ) from error
    return settings.tls_cert, settings.tls_key


def transport_settings(settings: ServerSettings, public_url: str) -> ApiSettings:
    """What REST and live API have to be told."""
    return ApiSettings(
        public_url=public_url,
        cors_origins=settings.cors_origins,
        rate_limit=settings.rate_limit,
        rate_limit_storage=settings.rate_limit_storage,
        rate_limit_loopback=settings.rate_limit_loopback,
        metrics_public=settings.metrics_public,
        trusted_proxies=settings.trusted_proxies,
    )


def web_application(settings: ServerSettings, traces: Tracing = NO_TRACING) -> Flask:
    """REST and live API over RabbitMQ and MongoDB, with connections of their own."""
    database = connect(str(settings.mongo_url), timeout_seconds=ANSWER_SECONDS)
    sender = broker.BoardSender(broker.server_app(str(settings.amqp_url)))
    try:
        sender.declare()
    except Unavailable as error:
        log.warning("%s; commands are stored and carried out later", error)
    links = PackageLinks(link_secret(database), settings.public_url)
    telling = Telling(Channel(settings.amqp_url))
    core = core_over(database, sender, telling.audience, links, settings, tracing=traces)
    services = services_over(core, database, sender, links, settings, telling.audience)
    return create_app(services, transport_settings(settings, settings.public_url), telling)[0]


def services_over(  # noqa: PLR0917 - the parts of a process
    core: Core,
    database: Database[dict[str, Any]],
    sender: broker.BoardSender,
    links: PackageLinks,
    settings: ServerSettings,
    audience: Audience,
) -> Services:
    """The services of a process over its core."""
    return assemble(
        database,
        core.runs,
        links,
        utc_now,
        broker=sender,
        fleet=core.fleet,
        audience=audience,
        name_email_login=settings.name_email_login,
        audit_days=settings.audit_days,
        tracing=core.tracing,
    )


def serve_orchestrator(environ: Mapping[str, str]) -> int:
    """Run the orchestrator until SIGTERM; returns an exit code."""
    settings = load(environ, required=BOTH_URLS)
    log_to_stderr(settings.log_level, settings.log_format)
    stopping = stop_on_signals()
    database = prepared_database(settings)
    keep_runs(database, settings.run_days)
    mark_older_runs(database)
    app = broker.server_app(str(settings.amqp_url))
    telling = Telling(Channel(settings.amqp_url, serves=False))
    links = PackageLinks(link_secret(database), settings.public_url)
    sender = broker.BoardSender(app)
    traces = tracing(environ, "workty-orchestrator")
    core = core_over(database, sender, telling.audience, links, settings, tracing=traces)
    telling.begin(services_over(core, database, sender, links, settings, telling.audience))
    orchestrator = Orchestrator(core, app, sender)
    orchestrator.start()
    threading.Thread(target=_tell_when_ready, args=(orchestrator,), name="ready", daemon=True).start()
    stopping.wait()
    orchestrator.stop()
    traces.close()
    return 0


def _tell_when_ready(orchestrator: Orchestrator) -> None:
    if orchestrator.wait_until_ready(threading.TIMEOUT_MAX):
        log.info("The orchestrator listens to the boards")


def prepared_database(settings: ServerSettings) -> Database[dict[str, Any]]:
    """The database with its indexes. Raises `BadSettings`, `Unavailable`."""
    shown = settings.redacted()["mongo_url"]
    try:
        database = connect(str(settings.mongo_url))
    except (PyMongoError, ValueError) as error:
        hint = "In login and password, characters such as @ : / % are written as %40 %3A %2F %25"
        raise BadSettings([f"WORKTY_MONGO_URL {shown} is no URL that MongoDB's driver can use. {hint}"]) from error
    try:
        create_indexes(database, RUN_INDEXES, BOARD_INDEXES)
    except PyMongoError as error:
        raise Unavailable(f"MongoDB at {shown} ({type(error).__name__})") from error
    return database


def core_over(
    database: Database[dict[str, Any]],
    sender: broker.BoardSender,
    audience: Audience,
    links: PackageLinks,
    settings: ServerSettings,
    *,
    tracing: Tracing = NO_TRACING,
) -> Core:
    """The core of a process, which tells `audience` what happens."""
    timing = Timing(
        heartbeat=timedelta(seconds=settings.heartbeat_timeout_seconds),
        lost_after=timedelta(seconds=settings.lost_after_seconds),
    )

    def link(package: StoredPackage) -> Package:
        url, ends = links.url(package.sha256, utc_now())
        return Package(package.sha256, package.size, url, ends.isoformat())

    log_days = min(settings.log_days, settings.run_days)
    return build_core(database, sender, audience, link, timing=timing, log_days=log_days, tracing=tracing)
