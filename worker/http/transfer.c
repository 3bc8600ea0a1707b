// transfer: what libcurl calls while a transfer runs, and what the end of one means.
//
// libcurl itself sends a request a second time where it used a kept connection that then closed
// without one byte of an answer, or where an HTTP/2 server said it had not looked at the request.
// For the first that is the lost race with a server that closes an idle connection, but it is also
// how a server looks that took the request, worked on it (and charged for it) and died. libcurl has
// no switch for it, so a further sending is refused here RESEND_MS after the one before: the race
// is lost within a round trip. Nothing else is ever sent twice by this folder.
#include "common/base/clock.h"
#include "common/base/err.h"
#include "worker/http/client_int.h"

#include <stdio.h>
#include <string.h>

enum {
    RESEND_MS = 1000,
    HEAD_BYTES_HOSTILE = 256 * 1024, // of an answer's head in all, interim ones included
    HEAD_ROOM_BYTES = 960,           // the API's has about 25 lines; below what malloc has at hand
    BODY_ROOM_BYTES = 64 * 1024,     // a Content-Length is believed up to here
};

static const char resend_refused[] = "the connection closed before any answer came";

static uint64_t now_ms(const struct http_call *call)
{
    return uv_now(call->target->client->hub.loop);
}

static bool resend_is_late(struct http_call *call)
{
    if (!call->sent_ms || now_ms(call) - call->resent_ms <= RESEND_MS)
        return false;
    call->refused = ERR_TRANSPORT;
    return true;
}

// ---- callbacks of libcurl

// A connection of its own, although the shard has one to share: the server has no HTTP/2.
static void note_connecting(struct slot *slot)
{
    struct shard *s = slot->shard;
    struct http_target *t = s->target;
    if (t->wire == WIRE_UNKNOWN && s->up)
        target_learn(t, false);
    if (t->wire == WIRE_H1 || slot->connecting)
        return;
    slot->connecting = true;
    s->connecting++;
}

static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *addr)
{
    (void)purpose;
    struct slot *slot = arg;
    if (slot->call && resend_is_late(slot->call))
        return CURL_SOCKET_BAD;
    note_connecting(slot);
    return curl_uv_socket(&slot->shard->m, addr);
}

// on_ready_to_send: connected, and the request leaves now (again, after a broken connection).
static int on_ready_to_send(void *arg, char *peer, char *local, int peer_port, int local_port)
{
    (void)peer, (void)local, (void)peer_port, (void)local_port;
    struct slot *slot = arg;
    struct http_call *call = slot->call;
    if (resend_is_late(call))
        return CURL_PREREQFUNC_ABORT;
    call->resent_ms = now_ms(call);
    if (call->sendings++ == 0) {
        call->sent_ms = call->resent_ms;
        deadline_call(call->target->client, call);
    }
    shard_connected(slot);
    return CURL_PREREQFUNC_OK;
}

static void hear(struct http_call *call)
{
    if (!call->heard_ms) {
        call->first_byte_us = clock_mono_us() - call->born_us;
        call->heard_ms = now_ms(call);
        deadline_call(call->target->client, call);
    }
    call->heard_ms = now_ms(call);
}

// head_begin: a status line. It may be the second, after that of an interim answer.
static void head_begin(struct http_call *call, const char *line, size_t len)
{
    const char *blank = memchr(line, ' ', len);
    int status = 0;
    for (const char *d = blank; d && ++d < line + len && *d >= '0' && *d <= '9' && status < 1000;)
        status = status * 10 + (*d - '0');
    call->status = status;
    call->head_lines = 0;
    strbuf_clear(&call->headers);
    target_learn(call->target, line[5] == '2');
}

static void head_add(struct http_call *call, const char *line, size_t len)
{
    while (len && (line[len - 1] == '\n' || line[len - 1] == '\r'))
        len--;
    bool fits = call->headers.len + len + 1 <= HTTP_HEADER_BYTES_MAX;
    if (call->head_lines >= HTTP_HEADERS_MAX || !fits || !memchr(line, ':', len))
        return;
    if (!call->headers.at && strbuf_reserve(&call->headers, HEAD_ROOM_BYTES))
        return;
    call->head_lines++;
    strbuf_add(&call->headers, line, len);
    strbuf_add_char(&call->headers, '\n');
}

static size_t on_head(char *line, size_t one, size_t len, void *arg)
{
    (void)one;
    struct http_call *call = ((struct slot *)arg)->call;
    hear(call);
    call->head_bytes += len;
    if (call->head_bytes > HEAD_BYTES_HOSTILE) {
        call->refused = ERR_TOO_BIG;
        return 0;
    }
    if (call->head_done)
        return len; // trailers
    if (len > 6 && memcmp(line, "HTTP/", 5) == 0)
        head_begin(call, line, len);
    else if (len <= 2 && (line[0] == '\r' || line[0] == '\n'))
        call->head_done = call->status >= 200;
    else
        head_add(call, line, len);
    call->refused = call->headers.err;
    return call->refused ? 0 : len;
}

static size_t on_body(char *bytes, size_t one, size_t len, void *arg)
{
    (void)one;
    struct slot *slot = arg;
    struct http_call *call = slot->call;
    hear(call);
    if (!call->body_in.at) {
        curl_off_t all = 0;
        curl_easy_getinfo(slot->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &all);
        if (all > 0 && all <= BODY_ROOM_BYTES && (size_t)all <= call->body_in.ceiling)
            (void)!strbuf_reserve(&call->body_in, (size_t)all);
    }
    strbuf_add(&call->body_in, bytes, len);
    call->refused = call->body_in.err;
    return call->refused ? 0 : len;
}

#define SET(option, value) (bad |= curl_easy_setopt(easy, option, value) != CURLE_OK)

bool transfer_setup(struct slot *slot)
{
    CURL *easy = slot->easy;
    bool bad = false;
    SET(CURLOPT_PRIVATE, slot);
    SET(CURLOPT_ERRORBUFFER, slot->error);
    SET(CURLOPT_HEADERFUNCTION, on_head);
    SET(CURLOPT_HEADERDATA, slot);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, slot);
    SET(CURLOPT_PREREQFUNCTION, on_ready_to_send);
    SET(CURLOPT_PREREQDATA, slot);
    SET(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    SET(CURLOPT_OPENSOCKETDATA, slot);
    SET(CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
    SET(CURLOPT_CLOSESOCKETDATA, &slot->shard->m); // connections may outlive the slot
    return !bad;
}

// ---- what an end means

// early_answer: a server may refuse a request (413, 429) before it has read all of it, and close.
// What breaks then is our sending; the answer is there.
static bool early_answer(const struct slot *slot, CURLcode code)
{
    const struct http_call *call = slot->call;
    curl_off_t sent = 0;
    curl_easy_getinfo(slot->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    return call->head_done && call->status >= 400 && (size_t)sent < call->body.len &&
           (code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR || code == CURLE_PARTIAL_FILE ||
            code == CURLE_HTTP2 || code == CURLE_HTTP2_STREAM);
}

// error_sent: the request had begun to leave.
static int error_sent(const struct http_call *call, CURLcode code)
{
    switch ((int)code) {
    case CURLE_OPERATION_TIMEDOUT:
        return ERR_TIMEOUT;
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_PARTIAL_FILE:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        return call->status >= 200 ? ERR_TRUNCATED : ERR_TRANSPORT;
    default:
        return ERR_TRANSPORT;
    }
}

static int error_of(const struct http_call *call, CURLcode code)
{
    switch ((int)code) {
    case CURLE_OUT_OF_MEMORY:
        return ERR_NOMEM;
    case CURLE_FILESIZE_EXCEEDED:
#if LIBCURL_VERSION_NUM >= 0x080600
    case CURLE_TOO_LARGE:
#endif
        return ERR_TOO_BIG;
    }
    if (call->sent_ms)
        return error_sent(call, code);
    return code == CURLE_OPERATION_TIMEDOUT ? ERR_TIMEOUT : ERR_CONNECT;
}

static void finish(struct slot *slot, CURLcode code)
{
    struct http_call *call = slot->call;
    struct http_target *t = call->target;
    int error = call->refused ? call->refused : error_of(call, code);
    char text[CURL_ERROR_SIZE];
    if (call->refused == ERR_TRANSPORT)
        snprintf(text, sizeof text, "%s", resend_refused);
    else if (error == ERR_TOO_BIG)
        snprintf(text, sizeof text, "the answer is %s", err_text(error));
    else if (error == ERR_NOMEM)
        snprintf(text, sizeof text, "%s", err_text(error));
    else if (error == ERR_TIMEOUT)
        snprintf(text, sizeof text, "no connection within %lld ms",
                 (long long)t->client->opt.connect_timeout_ms);
    else
        snprintf(text, sizeof text, "%s", slot->error[0] ? slot->error : curl_easy_strerror(code));
    if (!call->sent_ms)
        target_connect_failed(t);
    call_end(call, error, text);
}

void on_transfer_done(struct curl_uv *m, CURL *easy, CURLcode code)
{
    (void)m;
    char *slot_ptr = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &slot_ptr);
    struct slot *slot = (struct slot *)slot_ptr;
    bool whole = code == CURLE_OK && slot->call->head_done;
    if (whole || early_answer(slot, code))
        call_end(slot->call, 0, NULL);
    else // libcurl is content with a head that stops in the middle
        finish(slot, code == CURLE_OK ? CURLE_PARTIAL_FILE : code);
}
