#include "tests/support/certs.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATHS_MAX = 16, PATH_BYTES = 128 };

struct certs {
    char dir[64];
    char paths[PATHS_MAX][PATH_BYTES];
    int count;
};

static void die(const char *what)
{
    fprintf(stderr, "certs: %s\n", what);
    abort();
}

static void run_openssl(const char *const *argv)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, STDERR_FILENO); // it draws dots while it makes a key
        execvp(argv[0], (char **)argv);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
        die("openssl failed");
}

const char *certs_path(struct certs *c, const char *file)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", c->dir, file);
    for (int i = 0; i < c->count; i++)
        if (strcmp(c->paths[i], path) == 0)
            return c->paths[i];
    if (c->count == PATHS_MAX)
        die("too many files");
    return memcpy(c->paths[c->count++], path, sizeof path);
}

static const char *path_of(struct certs *c, const char *name, const char *ending)
{
    char file[64];
    snprintf(file, sizeof file, "%s.%s", name, ending);
    return certs_path(c, file);
}

struct certs *certs_new(void)
{
    struct certs *c = calloc(1, sizeof *c);
    if (!c)
        die("no memory");
    snprintf(c->dir, sizeof c->dir, "/tmp/penstock-certs-XXXXXX");
    if (!mkdtemp(c->dir))
        die("no temporary folder");
    const char *const argv[] = {"openssl",
                                "req",
                                "-x509",
                                "-newkey",
                                "ec",
                                "-pkeyopt",
                                "ec_paramgen_curve:P-256",
                                "-nodes",
                                "-days",
                                "2",
                                "-subj",
                                "/CN=a test's authority",
                                "-keyout",
                                certs_path(c, "ca.key"),
                                "-out",
                                certs_path(c, "ca.pem"),
                                NULL};
    run_openssl(argv);
    return c;
}

void certs_issue(struct certs *c, const char *name, const char *alt_names)
{
    char alt[256], subject[64];
    snprintf(alt, sizeof alt, "subjectAltName=%s", alt_names);
    snprintf(subject, sizeof subject, "/CN=%s", name);
    const char *const argv[] = {"openssl",
                                "req",
                                "-x509",
                                "-newkey",
                                "ec",
                                "-pkeyopt",
                                "ec_paramgen_curve:P-256",
                                "-nodes",
                                "-days",
                                "2",
                                "-subj",
                                subject,
                                "-addext",
                                alt,
                                "-addext",
                                "basicConstraints=critical,CA:FALSE",
                                "-CA",
                                certs_path(c, "ca.pem"),
                                "-CAkey",
                                certs_path(c, "ca.key"),
                                "-keyout",
                                path_of(c, name, "key"),
                                "-out",
                                path_of(c, name, "pem"),
                                NULL};
    run_openssl(argv);
}

void certs_free(struct certs *c)
{
    if (!c)
        return;
    for (int i = 0; i < c->count; i++)
        unlink(c->paths[i]);
    rmdir(c->dir);
    free(c);
}
