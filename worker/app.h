// app: the one owner of the loop, the signals and the run.
#ifndef PENSTOCK_APP_H
#define PENSTOCK_APP_H

struct conf;

// app_run works until it is told to stop; returns the exit code. argv are the flags, for a reload.
// The conf is the app's from here on.
int app_run(struct conf *conf, int argc, char **argv);

#endif
