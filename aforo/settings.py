"""All settings, read from the environment once.

A database of one's own (DATABASE_URL) means production, unless DEBUG says otherwise: cookies go
over TLS only, and whatever is needed and not set is named before anything runs.
"""

from __future__ import annotations

import os
import secrets
from ipaddress import ip_network
from pathlib import Path
from zoneinfo import available_timezones

import django_stubs_ext
import environ
from django.core.exceptions import ImproperlyConfigured
from kombu import Exchange, Queue

from aforo import devdb, money
from aforo.settings_backoffice import UNFOLD
from aforo.settings_openapi import CURRENCY_CHOICES, SPECTACULAR_SETTINGS

# What other packages read of here by its name.
__all__ = ["CURRENCY_CHOICES", "SPECTACULAR_SETTINGS", "UNFOLD"]

django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = devdb.var_dir()
env = environ.Env()

DATABASE_URL = env.str("DATABASE_URL", default="")
DEBUG = env.bool("DEBUG", default=not DATABASE_URL)
# Without a broker of their own, servers and workers on two machines would not find each other.
NEEDED = ("SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_URL", "CELERY_BROKER_URL")
if not DEBUG:
    missing = [name for name in NEEDED if not os.environ.get(name)]
    if missing:
        raise ImproperlyConfigured(
            f"In production, set {', '.join(missing)}; or set DEBUG=on to try things out."
        )


def _development_secret() -> str:
    """Return the random key under var/, made once, so that sessions outlive a restart."""
    path = VAR_DIR / "secret_key"
    if not path.exists():
        VAR_DIR.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(50))
    return path.read_text()


SECRET_KEY = env.str("SECRET_KEY", default="") or _development_secret()
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]", "testserver"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "djmoney",
    "django_celery_beat",
    "aforo.apps.AforoConfig",
    "aforo.access",
    "aforo.sandbox",
    "aforo.webhooks",
    "ledger",
    "pricing",
    "wallets",
    "billing",
]

MIDDLEWARE = [
    # Before whatever asks for the host or for TLS, which probes do not bring.
    "aforo.observability.health.HealthMiddleware",
    "aforo.serving.request_ids.RequestIdMiddleware",
    "aforo.observability.requests.ObservedMiddleware",
    "aforo.serving.edge.EdgeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.common.CommonMiddleware",
    # Those of `pages` pass calls of the API on.
    "aforo.serving.pages.SessionMiddleware",
    "aforo.serving.pages.CsrfMiddleware",
    "aforo.serving.pages.AuthenticationMiddleware",
    "aforo.access.acting.ActorMiddleware",
    "aforo.serving.pages.MessageMiddleware",
    "aforo.serving.pages.FrameOptionsMiddleware",
]

# Ours of `pages` do what these miss, for pages only.
SILENCED_SYSTEM_CHECKS = ["security.W002", "security.W003"]

ROOT_URLCONF = "aforo.urls"
WSGI_APPLICATION = "aforo.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# Whether a connection keeps its server to itself, so that statements can be prepared on it once and
# executed many times. A pooler in transaction mode lends another server to each transaction.
IS_POOLED = env.bool("DATABASE_IS_POOLED", default=False)
_DATABASE = env.db_url_config(DATABASE_URL or devdb.remembered_url())
DATABASES = {
    "default": {
        **_DATABASE,
        "ENGINE": "aforo.database.backend",
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
        "DISABLE_SERVER_SIDE_CURSORS": IS_POOLED,
        "OPTIONS": {
            **_DATABASE.get("OPTIONS", {}),
            # In either case the server binds the parameters: one behaviour everywhere.
            "server_side_binding": True,
            "prepare_threshold": None if IS_POOLED else 5,
        },
    }
}
AUTHENTICATION_BACKENDS = ["aforo.access.login_limits.Backend"]
_VALIDATION = "django.contrib.auth.password_validation"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"{_VALIDATION}.UserAttributeSimilarityValidator"},
    {"NAME": f"{_VALIDATION}.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": f"{_VALIDATION}.CommonPasswordValidator"},
    {"NAME": f"{_VALIDATION}.NumericPasswordValidator"},
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
# One way to write dates, on every page as in every file.
FORMAT_MODULE_PATH = "aforo.formats"
# The zone of the selling company: it decides the accounting date of an entry.
ENTITY_TIMEZONE = env.str("ENTITY_TIMEZONE", default="UTC")
if ENTITY_TIMEZONE not in available_timezones():
    raise ImproperlyConfigured(f"ENTITY_TIMEZONE: there is no time zone {ENTITY_TIMEZONE}.")
# What its reports and exported files are headed with; the French file is named after the number.
ENTITY_NAME = env.str("ENTITY_NAME", default="Aforo")
# Where it is established (ISO 3166-1): sales to another member state of the EU reverse the charge.
ENTITY_COUNTRY = env.str("ENTITY_COUNTRY", default="").upper()
# What is in another currency is translated by the general ledger, not here.
ENTITY_CURRENCY = env.str("ENTITY_CURRENCY", default="USD")
ENTITY_REGISTRATION = env.str("ENTITY_REGISTRATION", default="")
# The first month of the company's financial year.
FINANCIAL_YEAR_STARTS = env.int("FINANCIAL_YEAR_STARTS", default=1)
if not 1 <= FINANCIAL_YEAR_STARTS <= 12:
    raise ImproperlyConfigured("FINANCIAL_YEAR_STARTS: a month has a number from 1 to 12.")
# What import files have to say of the company, in the words of its accounting system.
EXPORT_SUBSIDIARY = env.str("EXPORT_SUBSIDIARY", default="")
EXPORT_LOCATION = env.str("EXPORT_LOCATION", default="")
EXPORT_TAX_RATE = env.str("EXPORT_TAX_RATE", default="Tax Exempt")
EXPORT_RATE_TYPE = env.str("EXPORT_RATE_TYPE", default="")
EXPORT_TITLES = env.dict("EXPORT_TITLES", default={})
# What else its documents say of it; a vertical bar parts lines.
SELLER = {x: env.str(f"ENTITY_{x}", default="") for x in ("ADDRESS", "TAX_ID", "EMAIL", "PAYMENT")}
# Copies of the daily seals; in production on a disk that the database's people cannot write.
SEALS_DIR = Path(env.str("SEALS_DIR", default=str(VAR_DIR / "seals")))
# At most this many cycles of a subscription may be over when it is entered; more is a typing error.
BACKDATED_CYCLES = env.int("BACKDATED_CYCLES", default=1)
# The dotted path of the `wallets.top_ups.gateway.Gateway` that takes live payments; without one
# they are taken elsewhere, or on account.
PAYMENT_GATEWAY = env.str("PAYMENT_GATEWAY", default="")
# The dotted path of a class like `billing.invoicing.tax_provider.RateTable`, in its place.
TAX_PROVIDER = env.str("TAX_PROVIDER", default="")
# Whether a payment of the bank that names a customer and no invoice pays the oldest ones first;
# else it waits for a person, unless it is exactly the amount of one.
PAYMENTS_OLDEST_FIRST = env.bool("PAYMENTS_OLDEST_FIRST", default=False)
# Secrets of webhooks are made of the first of these and found again by any of them; without one,
# of SECRET_KEY. Each has to stay as long as an endpoint has a secret that was made of it.
WEBHOOK_KEYS = env.list("WEBHOOK_KEYS", default=[]) or [SECRET_KEY]
# Whether webhooks may be sent to this machine itself; other private addresses are always refused.
WEBHOOK_LOOPBACK = env.bool("WEBHOOK_LOOPBACK", default=DEBUG)
EVENTS_KEPT_DAYS = env.int("EVENTS_KEPT_DAYS", default=400)  # With deliveries; 90 at least.
# Whether customers get their documents by mail as they are issued, unless one of them wants none.
MAIL_DOCUMENTS = env.bool("MAIL_DOCUMENTS", default=True)
# Who is written to when something needs a person: nobody, unless it is set.
NOTICES_TO = env.list("NOTICES_TO", default=[])
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="aforo@localhost")
vars().update(env.email_url("EMAIL_URL", default="consolemail://"))

# Where a log-in leads that began at the form itself.
LOGIN_REDIRECT_URL = "admin:index"

STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}
# Files are found one by one; without this every test client would first read all of them.
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = DEBUG

if not DEBUG:
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=True)
    SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=31_536_000)
    SECURE_HSTS_INCLUDE_SUBDOMAINS = env.bool("SECURE_HSTS_INCLUDE_SUBDOMAINS", default=False)
    SECURE_HSTS_PRELOAD = env.bool("SECURE_HSTS_PRELOAD", default=False)

# Requests a minute of a key without a limit of its own; 0 is no limit. Server processes count
# together where they share a cache (CACHE_URL), otherwise each by itself.
RATE_LIMIT = env.int("RATE_LIMIT", default=0)
CACHES = {"default": env.cache_url("CACHE_URL", default="locmemcache://")}
# The networks of our own proxies, whose X-Forwarded-For is believed.
TRUSTED_PROXIES = [ip_network(each) for each in env.list("TRUSTED_PROXIES", default=[])]

# Requests larger than this are refused with 413 before they are read.
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 20_000

CURRENCIES = tuple(money.EXPONENTS)

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["aforo.access.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["aforo.access.authentication.HasScope"],
    "DEFAULT_THROTTLE_CLASSES": ["aforo.access.rates.KeyThrottle"],
    "DEFAULT_PARSER_CLASSES": ["aforo.api.parsers.ExactJsonParser"],
    "DEFAULT_RENDERER_CLASSES": ["aforo.api.renderers.ExactJsonRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "aforo.api.parsers.JsonWhateverTheHeader",
    "DEFAULT_PAGINATION_CLASS": "aforo.api.pagination.NewestFirst",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "aforo.api.schema.ProblemAutoSchema",
    "EXCEPTION_HANDLER": "aforo.api.problems.exception_handler",
    "UNAUTHENTICATED_USER": None,
    # The OpenAPI document describes what there is; OPTIONS is answered as other unknown methods.
    "DEFAULT_METADATA_CLASS": None,
    # `format` is a parameter of reports, not of the answer's renderer.
    "URL_FORMAT_OVERRIDE": None,
    "DATETIME_FORMAT": "iso-8601",
    "PAGE_SIZE": 50,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "TEST_REQUEST_RENDERER_CLASSES": ["aforo.api.renderers.ExactJsonRenderer"],
}

CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default="filesystem://")
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_TIME_LIMIT = 3600
# Senders do not wait for a broker that is down: the work is a row in the database.
CELERY_TASK_PUBLISH_RETRY_POLICY = {
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.2,
    "interval_max": 0.2,
}
# Work on long lists, and on what others' servers answer, waits in queues of its own, so that it
# never holds up the sweep. A worker that is given no queue takes from all.
CELERY_TASK_QUEUES = [
    Queue(name, Exchange(name), routing_key=name) for name in ("runs", "sweep", "webhooks")
]
CELERY_TASK_DEFAULT_QUEUE = "sweep"
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
if CELERY_BROKER_URL == "filesystem://":
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(VAR_DIR / "celery" / "queue"),
        "data_folder_out": str(VAR_DIR / "celery" / "queue"),
        "control_folder": str(VAR_DIR / "celery" / "control"),
    }

# Says when background work was last seen, and what waits; `aforo` knows no app above it.
SEEN_BY = "billing.jobs.health.look"
# Whether every request has a line in the log, and in which form lines are: `json` or `words`.
LOG_REQUESTS = env.bool("LOG_REQUESTS", default=not DEBUG)
LOG_FORMAT = env.str("LOG_FORMAT", default="words" if DEBUG else "json")
if LOG_FORMAT not in {"json", "words"}:
    raise ImproperlyConfigured(f"LOG_FORMAT: json or words, not {LOG_FORMAT}.")
# Workers write the same lines, instead of Celery's own.
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"of_request": {"()": "aforo.observability.logs.OfRequest"}},
    "formatters": {
        "words": {
            "()": "aforo.observability.logs.Words",
            "fmt": "{asctime} {levelname} {name}: {message}",
            "style": "{",
        },
        "json": {"()": "aforo.observability.logs.Json"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": LOG_FORMAT,
            "filters": ["of_request"],
        }
    },
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        "django.request": {"level": "ERROR"},
        # It warns that the file-system broker has no host.
        "kombu.connection": {"level": "ERROR"},
        # They tell of every step of a PDF.
        "weasyprint": {"level": "ERROR"},
        "fontTools": {"level": "ERROR"},
    },
}

# Where unexpected errors are reported to.
if SENTRY_DSN := env.str("SENTRY_DSN", default=""):
    from aforo.observability import error_reports

    error_reports.send_to(SENTRY_DSN)
