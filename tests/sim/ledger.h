// ledger: who asks (accounts, by key) and what their quota is (a gate per organisation and model
// group). A key that nobody named is an account of its own.
#ifndef PENSTOCK_SIM_LEDGER_H
#define PENSTOCK_SIM_LEDGER_H

#include "tests/sim/limiter.h"
#include "tests/sim/names.h"
#include "tests/sim/settings.h"

enum { ACCOUNTS_MAX = 4096, MODELS_MAX = 256, GATES_MAX = 8192 };

struct account {
    char name[NAME_MAX_BYTES + 1];
    uint32_t org;
    bool known; // by --key
    uint64_t requests, accepted, refused;
};

struct model_count {
    uint64_t requests, accepted, refused;
    uint32_t group;
};

// One quota, and what came of it.
struct gate {
    struct limiter limiter;
    uint32_t org, group;
    char org_line[80]; // the header line that names the organisation
    uint64_t since_us; // made, or its buckets reset, then
    uint64_t requests, accepted;
    uint64_t in_flight, in_flight_max;
    uint64_t refused[DIM_COUNT], refused_ramp;
    uint64_t told_us, told_at_us; // "not before" as a 429 named it, and when that 429 was sent
    uint64_t early;
};

struct ledger {
    struct names keys, orgs, models, groups, pairs;
    struct account *accounts;   // by number in keys
    struct model_count *counts; // by number in models
    struct gate **gates;        // by number in pairs
};

void ledger_init(struct ledger *l);
void ledger_fini(struct ledger *l);
// ledger_account gives the account of a key.
uint32_t ledger_account(struct ledger *l, const struct settings *s, struct span key);
uint32_t ledger_model(struct ledger *l, const struct settings *s, struct span model);
// ledger_gate gives the quota that the account's requests for the model count against.
struct gate *ledger_gate(struct ledger *l, const struct settings *s, uint32_t account,
                         uint32_t model, uint64_t now_us);
// ledger_tune carries changed settings into all accounts and gates.
void ledger_tune(struct ledger *l, const struct settings *s, uint64_t now_us);
// ledger_reset zeroes the counts and, if asked to, makes all buckets new.
void ledger_reset(struct ledger *l, const struct settings *s, bool buckets, uint64_t now_us);

// ledger_group_of names the model group that the API pools a model in: "claude-opus-4-6" is of
// "claude-opus-4.x"; others are their own, without the date.
void ledger_group_of(struct span model, bool by_model, struct strbuf *out);

#endif
