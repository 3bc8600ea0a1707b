// nginxd: a real nginx with TLS in front of a test's plain server, with certificates of its own
// making. It dies with the test's process. What goes wrong here aborts the test.
#ifndef PENSTOCK_TESTS_NGINXD_H
#define PENSTOCK_TESTS_NGINXD_H

#include <stdbool.h>

struct nginxd;

enum nginxd_port { // each speaks TLS, and adds x-conn and x-proto to its answers
    NGINXD_H2,     // HTTP/2 and 1.1
    NGINXD_H1,     // HTTP/1.1 only
    NGINXD_NARROW, // HTTP/2 with eight streams a connection
    NGINXD_BRIEF,  // HTTP/2 with 20 requests a connection, answered by nginx itself
    NGINXD_STRICT, // HTTP/2, bodies up to 1 KiB
    NGINXD_PORTS,
};

// nginxd_missing names a program that is not installed; NULL = all are there.
const char *nginxd_missing(void);
// nginxd_start returns once all ports accept. Requests go on to upstream_port.
struct nginxd *nginxd_start(int upstream_port);
void nginxd_stop(struct nginxd *n);    // harmless on NULL
void nginxd_kill(struct nginxd *n);    // by SIGKILL; ports and certificates stay
void nginxd_restart(struct nginxd *n); // after a kill

int nginxd_port(const struct nginxd *n, enum nginxd_port which);
const char *nginxd_ca(const struct nginxd *n);       // signed the certificate of 127.0.0.1
const char *nginxd_other_ca(const struct nginxd *n); // did not

#endif
