"""What only pages need: sessions, who is logged in, messages, and defences of forms and frames.

Django has one list of middleware for all addresses. A call of the API brings its key and has no
session, no form and no frame, so each of these passes such a call on; the list in the settings
stays the one place where the order is read.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from django.contrib.auth.middleware import AuthenticationMiddleware as Authentication
from django.contrib.messages.middleware import MessageMiddleware as Messages
from django.contrib.sessions.middleware import SessionMiddleware as Sessions
from django.http import HttpRequest, HttpResponseForbidden
from django.http.response import HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware as FrameOptions
from django.middleware.csrf import CsrfViewMiddleware as Csrf
from django.utils.deprecation import MiddlewareMixin

# The document's viewer is a page among the calls.
_CALLS = re.compile(r"/(api/)?v1(/(?!docs$)|$)")


class _OfPages(MiddlewareMixin):
    """Passes calls of the API on; goes before the middleware that it is mixed into."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if _CALLS.match(request.path):
            return self.get_response(request)
        return super().__call__(request)


class SessionMiddleware(_OfPages, Sessions):
    pass


class AuthenticationMiddleware(_OfPages, Authentication):
    pass


class MessageMiddleware(_OfPages, Messages):
    pass


class FrameOptionsMiddleware(_OfPages, FrameOptions):
    pass


class CsrfMiddleware(_OfPages, Csrf):
    def process_view(
        self,
        request: HttpRequest,
        callback: Callable[..., HttpResponseBase],
        callback_args: tuple[Any, ...],
        callback_kwargs: dict[str, Any],
    ) -> HttpResponseForbidden | None:
        """Check a form's token; calls are authenticated by a key that no browser adds by itself."""
        if _CALLS.match(request.path):
            return None
        return super().process_view(request, callback, callback_args, callback_kwargs)
