// certs: a certificate authority for one test, made with the openssl program in a temporary folder.
// What goes wrong ends the test (abort).
#ifndef PENSTOCK_TESTS_CERTS_H
#define PENSTOCK_TESTS_CERTS_H

struct certs;

struct certs *certs_new(void);
void certs_free(struct certs *c); // removes the folder; harmless on NULL

// certs_issue makes NAME.pem and NAME.key for a subjectAltName such as
// "DNS:localhost,IP:127.0.0.1".
void certs_issue(struct certs *c, const char *name, const char *alt_names);
// certs_path gives the path of "ca.pem", "NAME.pem", ...; good until certs_free, for up to 16
// files.
const char *certs_path(struct certs *c, const char *file);

#endif
