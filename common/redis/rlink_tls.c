// rlink_tls: TLS on a connected socket, by hiredis_ssl with an SSL object of our own. hiredis_ssl
// alone checks the certificate's chain but not the name in it, so that any certificate of the same
// authority would do; here the host we dial must be in the certificate, as a name or as an address.
// Files are read anew for each connection: a renewed certificate needs no restart.
#include "common/base/err.h"
#include "common/redis/rlink_int.h"

#include <arpa/inet.h>
#include <hiredis/hiredis_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

bool rlink_has_tls(void)
{
    return true;
}

// first_error: OpenSSL's own words for the first thing that went wrong; "" where it has none.
static void first_error(char *ret, size_t room)
{
    unsigned long e = ERR_peek_error();
    const char *reason = ERR_SYSTEM_ERROR(e) ? strerror(ERR_GET_REASON(e)) : NULL;
    if (e && !reason)
        reason = ERR_reason_error_string(e);
    snprintf(ret, room, "%s", e && reason ? reason : "");
}

static int refuse(const char *what, const char *file, char *ret_why, size_t why_room)
{
    char reason[128];
    first_error(reason, sizeof reason);
    snprintf(ret_why, why_room, "%s%s%s%s%s", what, file[0] ? " " : "", file, reason[0] ? ": " : "",
             reason);
    ERR_clear_error();
    return ERR_BAD_CONF;
}

// no_passphrase keeps OpenSSL from asking for one on the terminal.
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
    (void)buf, (void)size, (void)writing, (void)arg;
    return 0;
}

static int load_files(SSL_CTX *c, const struct rurl *u, char *ret_why, size_t why_room)
{
    SSL_CTX_set_default_passwd_cb(c, no_passphrase);
    if (!(u->ca[0] ? SSL_CTX_load_verify_locations(c, u->ca, NULL)
                   : SSL_CTX_set_default_verify_paths(c)))
        return refuse("the CA file cannot be used:", u->ca, ret_why, why_room);
    if (u->cert[0] && SSL_CTX_use_certificate_chain_file(c, u->cert) != 1)
        return refuse("the certificate cannot be used:", u->cert, ret_why, why_room);
    if (u->key[0] && SSL_CTX_use_PrivateKey_file(c, u->key, SSL_FILETYPE_PEM) != 1)
        return refuse("the key cannot be used:", u->key, ret_why, why_room);
    return 0;
}

static bool is_address(const char *host)
{
    unsigned char unused[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, unused) == 1 || inet_pton(AF_INET6, host, unused) == 1;
}

// expect_host makes the handshake fail unless the certificate is for this host.
static bool expect_host(SSL *ssl, const char *host)
{
    if (is_address(host))
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

// make_ssl: the SSL object of one connection, which keeps its context alive.
static SSL *make_ssl(const struct rurl *u, const char *host, char *ret_why, size_t why_room)
{
    SSL *ssl = NULL;
    SSL_CTX *c = SSL_CTX_new(TLS_client_method());
    ERR_clear_error();
    if (!c)
        goto failed;
    SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER, NULL);
#ifdef SSL_OP_IGNORE_UNEXPECTED_EOF
    SSL_CTX_set_options(c, SSL_OP_IGNORE_UNEXPECTED_EOF); // RESP has its own ends
#endif
    if (load_files(c, u, ret_why, why_room))
        goto done;
    ssl = SSL_new(c);
    if (ssl && expect_host(ssl, host))
        goto done;
    SSL_free(ssl);
    ssl = NULL;
failed:
    refuse("TLS cannot be set up", "", ret_why, why_room);
done:
    SSL_CTX_free(c);
    return ssl;
}

// explain: why a handshake or a transfer failed. False where OpenSSL does not know; ret_why is as
// it was then.
static bool explain(const SSL *ssl, char *ret_why, size_t why_room)
{
    char reason[128];
    long verdict = SSL_get_verify_result(ssl);
    first_error(reason, sizeof reason);
    if (verdict != X509_V_OK)
        snprintf(ret_why, why_room, "the server's certificate was refused: %s",
                 X509_verify_cert_error_string(verdict));
    else if (reason[0])
        snprintf(ret_why, why_room, "TLS: %s", reason);
    ERR_clear_error();
    return verdict != X509_V_OK || reason[0];
}

int rtls_start(struct rsock *s, char *ret_why, size_t why_room)
{
    redisContext *c = &s->ctx->c;
    const redisContextFuncs *plain = c->funcs;
    SSL *ssl = make_ssl(s->link->url, s->link->dial.host, ret_why, why_room);
    if (!ssl)
        return ERR_BAD_CONF;
    if (redisInitiateSSL(c, ssl) == REDIS_OK) {
        s->tls = ssl;
        return 0;
    }
    c->funcs = plain; // hiredis leaves its own behind, without the state they need
    snprintf(ret_why, why_room, "%s", c->errstr);
    explain(ssl, ret_why, why_room);
    SSL_free(ssl);
    return ERR_CONNECT;
}

void rtls_before_io(struct rsock *s)
{
    (void)s;
    ERR_clear_error(); // hiredis_ssl does not, and would take an old error for a new one
}

bool rtls_wants_write(const struct rsock *s)
{
    return SSL_want_write(s->tls);
}

bool rtls_is_shaking(const struct rsock *s)
{
    return s->tls && !SSL_is_init_finished(s->tls);
}

void rtls_explain(const struct rsock *s, char *ret_why, size_t why_room)
{
    if (!s->tls || explain(s->tls, ret_why, why_room))
        return;
    // The alert that says so is often lost: what we sent meanwhile makes the kernel reset.
    size_t len = strlen(ret_why);
    if (s->link->state == RLINK_GREETING && !s->link->url->cert[0])
        snprintf(ret_why + len, why_room - len, "; perhaps it wants a client's certificate");
}
