"""The closed set of codes: what each means to a person who meets it, what is kept, and what to do.

The one place for these words: `docs/errors.md` is made from it (`make docs`), and `/openapi.json` lists the codes. A
class of errors with a code of its own has an entry, and a test says so when one lacks it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from windlass import errors as e

Place = Literal["answer", "job", "command"]


@dataclass(frozen=True, slots=True)
class Entry:
    """What to know of a code, in whole sentences (Markdown).

    Attributes:
        places: who may show it: an answer of the API, a job (`error_code`), or only the command line and the client.
        happened: what it means.
        kept: what is left as it was, and what of the work is not lost.
        advice: what to do.
    """

    places: frozenset[Place]
    happened: str
    kept: str
    advice: str


_ANSWER: frozenset[Place] = frozenset({"answer"})
_JOB: frozenset[Place] = frozenset({"job"})
_COMMAND: frozenset[Place] = frozenset({"command"})

_NOTHING = "Nothing was written, and every job is as it was."
_SO_FAR = "What has come so far."
_EITHER = "After a request: everything as it was, nothing was written. After a job: what has come so far."
_AGAIN = "Ask for the model again, or `windlass resume` the job: it goes on from where it stopped."

ENTRIES: Mapping[type[e.WindlassError], Entry] = {
    e.WindlassError: Entry(
        _ANSWER | _JOB,
        "Windlass met a fault of its own: a bug, or something that nobody had thought of.",
        "Finished models, and what has come of unfinished ones. The server and its other jobs go on.",
        f"{_AGAIN} If it happens again, report it with what the server wrote on stderr at that time.",
    ),
    e.InvalidRequest: Entry(
        _ANSWER,
        "Something in the request, on the command line or in the settings does not fit. The message names it, and "
        "`param`, where there is one, is the field of the request.",
        _NOTHING,
        "Correct what the message names. `GET /docs` describes every call, `windlass config` shows the settings in "
        "force and where each comes from.",
    ),
    e.InvalidModel: Entry(
        _ANSWER,
        "No model can be meant by what was sent: the body is no JSON object, `model` is missing or no text, or the "
        "name has none of the known forms. On the command line also: the name fits several models on this disk.",
        _NOTHING,
        "Use a catalog name (`qwen/qwen3-4b-2507`), a link to lmstudio.ai or huggingface.co, or `owner/repo`; each "
        "may end in `@` and a quantization. Where several models fit, the message lists their names.",
    ),
    e.QuantizationNotFound: Entry(
        _ANSWER,
        "The model is there, but not in the quantization that was asked for.",
        _NOTHING,
        "Choose one of those that the message lists, or leave the quantization out.",
    ),
    e.IllegalMove: Entry(
        _ANSWER,
        "The job cannot do that from where it stands: one that is completed cannot be paused, one that is cancelled "
        "cannot go on.",
        "The job, as it was.",
        "Look at the job with `windlass ps --all`. A cancelled job is over: ask for the model again, for a new one.",
    ),
    e.ModelInUse: Entry(
        _ANSWER | _COMMAND,
        "A job is at work on files of the model that was to be removed or mended; the message names the job. Or an "
        "update would change a file that another model needs as it is: one that was asked for at a fixed commit, or "
        "that is not offered any more.",
        _NOTHING,
        "Wait for the job, or pause or cancel it, then try again. Of two models that need different files under one "
        "name, remove one.",
    ),
    e.NotRepairable: Entry(
        _ANSWER | _COMMAND,
        "The model came here by another way, so nobody has written down what its files should be.",
        _NOTHING,
        "Ask for it with `windlass get`: what stands there is compared with the hub's hashes, and what differs is "
        "fetched.",
    ),
    e.UnsupportedMediaType: Entry(
        _ANSWER,
        "The request does not say that its body is JSON.",
        _NOTHING,
        "Send the header `Content-Type: application/json`.",
    ),
    e.BodyTooLarge: Entry(
        _ANSWER,
        "The body of the request is larger than any call needs (64 KiB), so it was not read to the end.",
        _NOTHING,
        "Send only the fields that the call knows: `GET /docs` lists them.",
    ),
    e.RequestTimeout: Entry(
        _ANSWER,
        "A request took longer than 20 seconds to come, from its first byte to the last of its body.",
        _NOTHING,
        "Send it again, in one go. Whoever only keeps a connection open for later sends nothing on it.",
    ),
    e.TooManyConnections: Entry(
        _ANSWER,
        "As many connections are open as the server allows at a time (512), and all of them are being answered.",
        _NOTHING,
        "Try again in a while. A client that asks often keeps one connection instead of making a new one each time.",
    ),
    e.HostNotAllowed: Entry(
        _ANSWER,
        "The request is addressed (`Host`) to a name that is not this server's. Web pages could otherwise reach it "
        "under a name of their own.",
        _NOTHING,
        "Ask the server as `localhost` or by its IP address, or tell it the name: `windlass serve --allow-host NAME`, "
        "which is for a proxy in front of it, too.",
    ),
    e.OriginNotAllowed: Entry(
        _ANSWER,
        "The request comes from a web page of another site (`Origin`). Such pages may not drive the server.",
        _NOTHING,
        "Call the API from a program instead of a page, or from a page that the server itself has sent.",
    ),
    e.InvalidApiKey: Entry(
        _ANSWER,
        "The server asks for a token, and the request has none or a wrong one.",
        _NOTHING,
        "Send it as `Authorization: Bearer sk-lm-…`; the command line and the Python client take it from "
        "`LM_API_TOKEN`. Whoever runs the server makes one: `windlass token create`.",
    ),
    e.InsufficientScope: Entry(
        _ANSWER,
        "The token is a good one, but was made for other things: the message names the scope that is missing.",
        _NOTHING,
        "Use another token, or have one made with that scope: `windlass token create --scope …`.",
    ),
    e.UnknownEndpoint: Entry(
        _ANSWER,
        "There is no call of this path (404), or not with this method (405).",
        _NOTHING,
        "`GET /docs` shows every call. Look for a typing error, and for a version of Windlass that is too old.",
    ),
    e.NotOffered: Entry(
        _ANSWER,
        "LM Studio has this call, Windlass has not: it brings models in, and runs none.",
        _NOTHING,
        "Point llama.cpp, MLX or LM Studio at the models folder; `windlass path MODEL` prints what to hand over.",
    ),
    e.ModelNotFound: Entry(
        _ANSWER | _JOB,
        "Neither the catalog nor the hub has this model, repository, revision or file. In a job: the hub had it when "
        "the job began and has it no more. From the model lists and `windlass path`: it is not on this disk.",
        _EITHER,
        "Look at the spelling, and at the page on the hub in a browser. A private repository looks like one that is "
        "not there until a token opens it: set `HF_TOKEN` (and restart the server), or sign in with `hf auth login`.",
    ),
    e.NoModelFiles: Entry(
        _ANSWER,
        "The repository is there, but holds no whole model in a form that Windlass can place: no GGUF, MLX or "
        "safetensors, or a set of shards with some missing.",
        _NOTHING,
        "Look at the repository's list of files. Often another one of the same publisher has the weights as GGUF; "
        "where shards are missing, its publisher may still be uploading.",
    ),
    e.JobNotFound: Entry(
        _ANSWER,
        "No job has this id.",
        _NOTHING,
        "`windlass ps --all` lists the jobs there are. Jobs belong to a `WINDLASS_HOME`: is it the right server? If "
        "it is not there, ask for the model again: what is on the disk is found.",
    ),
    e.TokenNotFound: Entry(
        _COMMAND,
        "No token has this name.",
        _NOTHING,
        "`windlass token list` shows those there are.",
    ),
    e.ModelGated: Entry(
        _ANSWER | _JOB,
        "The model is there, but access is granted per person, and the token in use (or none) has not got it.",
        _EITHER,
        "Ask for access on the page that the message names. Then set `HF_TOKEN` to a token of that account and "
        "restart the server, or sign in with `hf auth login`, which counts at once. Then ask for the model again.",
    ),
    e.HubError: Entry(
        _ANSWER | _JOB,
        "The hub or the catalog answered with an error of its own, again and again, or with what cannot be right.",
        _EITHER,
        "Wait a few minutes and ask again; status.huggingface.co may know more. If it stays: is "
        "`WINDLASS_HF_ENDPOINT` (or `WINDLASS_CATALOG_URL`) really the address of a hub, and does a proxy answer in "
        "its place? A link to huggingface.co needs no catalog.",
    ),
    e.HubUnreachable: Entry(
        _ANSWER | _JOB,
        "The hub, the catalog or the place that holds the files cannot be reached: the name is not known, nobody "
        "answers there, or the proxy does not let us through.",
        _EITHER,
        f"Look at the network, at `HTTPS_PROXY` and `NO_PROXY`, and at `WINDLASS_HF_ENDPOINT`. {_AGAIN}",
    ),
    e.HubRateLimited: Entry(
        _ANSWER | _JOB,
        "The hub limits how often this address or account may ask, and wants a longer pause than Windlass waits by "
        "itself.",
        _EITHER,
        "Ask again after the seconds that `Retry-After` (or the message) says. Signed in (`HF_TOKEN` or "
        "`hf auth login`) one may ask more often.",
    ),
    e.ChecksumMismatch: Entry(
        _JOB,
        "A file did not hash to what the hub's listing promises, also when it was fetched a second time: the source "
        "sends wrong bytes.",
        "The model's other files. Of this one nothing, and nothing of it was put in the models folder.",
        "Try without the mirror or proxy that stands between, or another one (`WINDLASS_HF_ENDPOINT`). If the hub "
        "itself sends them, report it there. Do not take the file from there by another way.",
    ),
    e.TLSFailure: Entry(
        _ANSWER | _JOB,
        "The certificate of the hub or the source is not to be trusted. It is never asked in the clear instead.",
        _EITHER,
        "Is the machine's clock right? Does the network want a sign-in first, as in a hotel? Behind a proxy that opens "
        "TLS, as many companies have, name its authority's file (PEM) in `SSL_CERT_FILE` and restart the server.",
    ),
    e.UnsafeRedirect: Entry(
        _JOB,
        "The source redirects to where Windlass must not go: from https to http, into a private network, or in "
        "circles. Nothing was fetched from there.",
        _SO_FAR,
        "If the hub is your own, in a private network, name it in `WINDLASS_HF_ENDPOINT`: then it may send Windlass to "
        "others there. If a mirror stands between, try without it. Otherwise report it to the hub.",
    ),
    e.SourceFailure: Entry(
        _JOB,
        "The source failed for so long, without a byte of progress, that Windlass gave up. The message has its last "
        "words.",
        _SO_FAR,
        f"Wait a few minutes. {_AGAIN}",
    ),
    e.InsufficientStorage: Entry(
        _ANSWER | _JOB,
        "There is not enough room on the disk of the models folder. `WINDLASS_MIN_FREE` stays free there, and what is "
        "promised to other jobs counts as taken. An answer says `needed_bytes` and `free_bytes`.",
        f"{_EITHER} That takes room, too.",
        "Free some space, cancel a job that is not needed, ask for a smaller quantization, or set "
        "`WINDLASS_MODELS_DIR` to a larger disk. A job that is `paused` with this code goes on by itself when there "
        "is room, and fails if there is none for a day; one that has `failed` goes on when it is asked for again. "
        "Where the disk shows room all the same, look for a quota, or for too many files on it.",
    ),
    e.StorageUnavailable: Entry(
        _ANSWER | _JOB,
        "The models folder is gone, may not be written to, does not give back what was written, or something else "
        "stands in the way there. The message says which.",
        "All that is on the disk. A folder that is gone is not made anew, so nothing lands on the wrong disk.",
        "Is the disk plugged in, mounted, and writable for the user that runs Windlass? What do the system's log lines "
        f"say of it (`dmesg`)? When that is mended: {_AGAIN[0].lower()}{_AGAIN[1:]}",
    ),
    e.StateFailure: Entry(
        _ANSWER | _JOB | _COMMAND,
        "Windlass cannot get what it needs on this machine: `WINDLASS_HOME` or the database cannot be read or "
        "written, the port is taken, or the server that a command was talking to has ended. The message says which.",
        "Finished models, jobs, and what has come of them.",
        "Look at the disk of `WINDLASS_HOME` and who may write there, or choose another `--port`. Then give the "
        "command again; jobs go on from where they stopped.",
    ),
    e.StateInUse: Entry(
        _COMMAND,
        "Another Windlass server runs on this `WINDLASS_HOME`; the message has its process and address.",
        "Everything; the server that runs is not disturbed.",
        "Use that server, or end it first. For a second one beside it, set `WINDLASS_HOME` to another folder.",
    ),
    e.DatabaseTooNew: Entry(
        _COMMAND,
        "A newer Windlass has written the database, and this one does not know its form.",
        "Everything; the database was not touched.",
        "Update this Windlass, or set `WINDLASS_HOME` to another folder. Finished models are found without it.",
    ),
    e.DatabaseUnreadable: Entry(
        _ANSWER | _COMMAND,
        "The database is damaged, or is no database. A start sets it aside under another name and begins a new one; "
        "this is said when damage shows while it is in use, or when it cannot be set aside.",
        "Finished models, and what has come of unfinished ones. The damaged file is never written over.",
        "End all processes of Windlass and start anew; then ask again for the models that had not finished: they go "
        "on from where they stopped. Look after the disk: databases seldom break by themselves.",
    ),
    e.ServerFailure: Entry(
        _COMMAND,
        "The server at `WINDLASS_URL` answered a command with an error, too late, or not as a Windlass server does. "
        "Where it sent a code of its own, that one decides the exit code.",
        "The server's jobs. It may have done what was asked all the same: look before you ask again.",
        "Read the server's message as if it were the command's own. `windlass ps` shows what its jobs do.",
    ),
    e.ServerUnreachable: Entry(
        _COMMAND,
        "No server answers where one was expected.",
        "Jobs, on disk. `windlass get` goes on with them, with a server or without.",
        "Start one with `windlass serve`, or point `WINDLASS_URL` at the one that runs.",
    ),
    e.Cancelled: Entry(
        _JOB,
        "Somebody has cancelled the job. It is over.",
        "Finished models, and files that other jobs need too. The job's own partial files are removed, unless "
        "`keep_partial` was asked for.",
        "If it was a mistake, ask for the model again: that is a new job.",
    ),
}

BY_CODE: Mapping[str, Entry] = {cls.code: entry for cls, entry in sorted(ENTRIES.items(), key=lambda one: one[0].code)}


def codes_in(place: Place) -> list[str]:
    """The codes that may be met at a place, in alphabetical order."""
    return [code for code, entry in BY_CODE.items() if place in entry.places]
