// api: what the simulator does with one request, from its arrival to its end. It knows no sockets:
// a connection begins a call, writes what the call says, waits as long as it says, and ends it.
#ifndef PENSTOCK_SIM_API_H
#define PENSTOCK_SIM_API_H

#include "tests/sim/answer.h"
#include "tests/sim/http_parse.h"
#include "tests/sim/sim.h"

// What the connection does next.
enum next_what {
    NEXT_WRITE, // call api_write after delay_us
    NEXT_DONE,  // the answer is complete; the connection goes on
    NEXT_CLOSE, // FIN
    NEXT_RESET, // RST
    NEXT_HANG,  // nothing more, until the client goes away
};

struct next {
    enum next_what what;
    uint64_t delay_us;
};

enum call_stage { CALL_WHOLE, CALL_STREAM_REST, CALL_PIECES };

struct call {
    uint64_t n; // of its record; 0 = a call that is not counted (control, models)
    uint64_t start_us;
    enum call_stage stage;
    enum fault fault;
    int status;
    bool keep_alive, is_stream, is_message; // is_message: `question` is to be answered
    uint32_t account, model;
    struct gate *gate;
    struct charge held;
    struct snapshot shot; // the quota that the headers show
    bool has_shot;
    uint64_t wait_us;       // of a 429: until the request fits
    uint64_t total_us;      // of an answer: the latency drawn for it
    struct trouble trouble; // of an error
    char why[192];          // its message, where it is not the usual one
    struct question question;
    struct strbuf rest; // bytes made beforehand (scripted answers) or still to be written
    struct next last;   // what to do after them
};

// api_begin takes a request; call is zeroed by it. For /sim/... see control.h.
struct next api_begin(struct sim *s, const struct http_head *h, struct span body,
                      struct call *call);
// api_refuse answers what never became a request: 400, 413, 431, 501.
struct next api_refuse(struct sim *s, int status, struct call *call);
// api_plain answers 200 with a body of ours.
struct next api_plain(int status, const struct strbuf *json, bool keep_alive, struct call *call);
// api_write appends the next bytes to out.
struct next api_write(struct sim *s, struct call *call, struct strbuf *out);
// api_end closes the books on a call. Harmless on one that has ended.
void api_end(struct sim *s, struct call *call, enum ending how);

#endif
