"""Every error becomes an answer here and nowhere else: problem+json for programs, a page for people."""

from __future__ import annotations

import json
import logging
from http import HTTPStatus

from botocore.exceptions import BotoCoreError, ClientError
from flask import Flask, Response, render_template, request
from flask_login import current_user
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from gas import errors
from webui.access import is_api, is_ga4gh, loggable
from webui.tokens import WrongScope

log = logging.getLogger(__name__)

#: The HTTP status of each kind of error; the most derived class that is listed counts.
STATUS: dict[type[errors.GasError], HTTPStatus] = {
    errors.InputError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.ReferenceProblem: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.UploadTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.NotAllowed: HTTPStatus.FORBIDDEN,
    errors.TooManyRequests: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.GasError: HTTPStatus.INTERNAL_SERVER_ERROR,
}

#: What a page says above the sentence.
HEADING = {
    HTTPStatus.UNAUTHORIZED: "Please sign in",
    HTTPStatus.FORBIDDEN: "Not allowed",
    HTTPStatus.NOT_FOUND: "Nothing here",
    HTTPStatus.CONFLICT: "Not possible now",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Too large",
    HTTPStatus.SERVICE_UNAVAILABLE: "Not available right now",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Something went wrong on our side",
}

NOT_FOUND_SENTENCE = "There is nothing at this address, or it belongs to somebody else."
STORAGE_SENTENCE = "The storage of jobs and files does not answer just now. Nothing is lost; try again in a minute."
OUR_FAULT_SENTENCE = "The server could not answer this request. It has been logged; trying again may help."


def install(app: Flask) -> None:
    """Register the handlers on ``app``."""
    app.register_error_handler(errors.GasError, gas_error)
    app.register_error_handler(HTTPException, http_error)
    app.register_error_handler(BotoCoreError, aws_error)
    app.register_error_handler(ClientError, aws_error)
    app.register_error_handler(Exception, unexpected)


def status_of(error: errors.GasError) -> HTTPStatus:
    """The status that says of which kind an error is."""
    return next(STATUS[cls] for cls in type(error).__mro__ if cls in STATUS)


def gas_error(error: errors.GasError) -> Response:
    status = status_of(error)
    if isinstance(error, errors.NotAllowed) and not current_user.is_authenticated:
        status = HTTPStatus.UNAUTHORIZED
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        ours = status == HTTPStatus.INTERNAL_SERVER_ERROR  # somebody else's outage needs no traceback of ours
        log.error("%s %s: %s", request.method, loggable(request.path), error, exc_info=error if ours else None)
    response = answer(status, str(error), error.kind)
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, WrongScope) and is_api(request):  # RFC 6750, 3.1
        response.headers["WWW-Authenticate"] = f'Bearer realm="GAS", error="insufficient_scope", scope="{error.needed}"'
    return response


def http_error(error: HTTPException) -> Response:
    if error.response is not None or error.code is None or error.code < HTTPStatus.BAD_REQUEST:
        return error.get_response()
    status = HTTPStatus(error.code)
    if status == HTTPStatus.NOT_FOUND:
        return answer(status, NOT_FOUND_SENTENCE, errors.NotFound.kind)
    if isinstance(error, CSRFError):
        return answer(status, f"{error.description} Reload the page and try again.", "csrf")
    response = answer(status, error.description or status.description, status.phrase.lower().replace(" ", "-"))
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        response.headers.extend(h for h in error.get_headers() if h[0] == "Allow")
    return response


def aws_error(error: BotoCoreError | ClientError) -> Response:
    """boto3 has retried already; what is left is an outage, or a mistake in this server's set-up."""
    log.error("%s %s: AWS: %s", request.method, loggable(request.path), error, exc_info=error)
    return answer(HTTPStatus.SERVICE_UNAVAILABLE, STORAGE_SENTENCE, errors.Unavailable.kind)


def unexpected(error: Exception) -> Response:
    log.error("%s %s failed", request.method, loggable(request.path), exc_info=error)
    return answer(HTTPStatus.INTERNAL_SERVER_ERROR, OUR_FAULT_SENTENCE, "internal")


def answer(status: HTTPStatus, sentence: str, kind: str) -> Response:
    """The response for an error: its status, a sentence for the person, a stable word for programs."""
    if is_api(request):
        problem = {
            "type": f"urn:gas:problem:{kind}",
            "title": status.phrase,
            "status": status.value,
            "detail": sentence,
            "kind": kind,
        }
        mimetype = "application/problem+json"
        if is_ga4gh(request):
            problem |= {"msg": sentence, "status_code": status.value}
            mimetype = "application/json"
        response = Response(json.dumps(problem), status, mimetype=mimetype)
        if status == HTTPStatus.UNAUTHORIZED:
            response.headers["WWW-Authenticate"] = 'Bearer realm="GAS"'
        return response
    heading = HEADING.get(status, status.phrase)
    return Response(render_template("gas/error.html", heading=heading, sentence=sentence, status=status.value), status)
