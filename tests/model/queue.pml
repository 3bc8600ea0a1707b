/* queue: how payloads of one id move through a queue, as the scripts of common/queue/lua move them.

   Two workers claim, admit, call and settle; the tick takes back leases that ran out. Each script is
   one atomic step. Between steps up to FAULTS things go wrong, of any kind and at any moment: a worker
   dies; a lease runs out under a living worker; a reply is lost, so that the same script is sent again;
   a copy of a script reaches Redis at any later time, even after its sender is dead; a call is put back
   (429, 5xx, drain). Two payloads have the id; it may be cancelled at any time; a call may fail for good.

   After each step:  every payload is in one place (KEPT). An id ends once. It is called once, and
                     once more for each lease that ran out and each time it was put back.
   At the end:       nothing waits, is claimed, leased or delayed, and the id has a result. A payload
                     that nobody moves any more is an invalid end state.

   scripts/model runs it, and each BREAK_..., in which spin must find the error (docs/model.md). */
#ifndef FAULTS
#define FAULTS 2
#endif
#define PAYLOADS 2
#define MOST     2  /* PENSTOCK_MAX_RECOVERIES */
#define WIRE     2  /* the network, in `t` and `c`; 0 and 1 are the workers */
#define TOKENS   8
#define CLAIMS   6

mtype = { nowhere, leased, delayed, dead };               /* where the job is */
mtype = { claim, admit, settle };                         /* the scripts */
mtype = { nothing, payload, job, mine, duplicate, lost }; /* what they answer */
mtype = { good, bad, later, cancelled };                  /* how a call ends */

/* What Redis has. Tokens and claim ids are numbers from 1; those that no one knows any more are used again. */
byte waiting = PAYLOADS;
byte held[CLAIMS];           /* job:~c: the token that holds it, 0 = no such key */
bool twin[CLAIMS];           /* op:~c: admit has answered that it is a duplicate */
byte op[TOKENS];             /* op:<token>: what claim gave: 0 nothing, 1 the job, 1 + c a payload */
mtype place = nowhere;       /* job:<id>: its state, */
byte token, recoveries;      /* who holds it, how often a lease ran out under it (MOST = or oftener) */
byte deaths;                 /* of workers with the payload in hand */
bool result, cancel;

/* What the workers and the network have in hand: a token and a claim id each. */
byte t[3], c[3];

/* What only the model knows. */
byte twins, buried, calls_left = 1;
bool taken;                  /* a payload ended as the id's one result */
bool gone[TOKENS];           /* whoever held it is dead, or never heard of it */
byte faults = FAULTS;        /* that may still happen */
bool copied;                 /* one copy at most: see `wire` */
chan wire = [1] of { mtype, mtype };

#define HELD ((held[1]!=0)+(held[2]!=0)+(held[3]!=0)+(held[4]!=0)+(held[5]!=0))
#define LIVE (place == leased || place == delayed)
#define KEPT assert(waiting + HELD + LIVE + twins + buried + taken == PAYLOADS)
#define REST (waiting == 0 && HELD == 0 && !LIVE)
#define KNOWN(n) (token == n || t[0] == n || t[1] == n || t[2] == n || held[1] == n || held[2] == n \
                  || held[3] == n || held[4] == n || held[5] == n)
#define CLAIMED(n) (held[n] != 0 || c[0] == n || c[1] == n || c[2] == n)

/* forget: what is not known any more looks the same in every state; fewer of them are to be visited. */
inline forget() {
    n = 1;
    do
    :: n < TOKENS ->
        if :: KNOWN(n) :: else -> gone[n] = false; op[n] = 0 fi;
        if :: n < CLAIMS && !CLAIMED(n) -> twin[n] = false :: else fi;
        n++
    :: else -> break
    od;
    n = 0
}

inline fresh_token(me) {
    n = 1;
    do :: KNOWN(n) -> n++; assert(n < TOKENS) :: else -> break od;
    t[me] = n; n = 0
}

inline fresh_claim(me) {
    c[me] = 0; n = 1;
    do :: CLAIMED(n) -> n++; assert(n < CLAIMS) :: else -> break od;
    c[me] = n; n = 0
}

inline finish(how) {                  /* settle.lua: finish() */
    assert(!result);
    result = true; taken = true; cancel = false; token = 0;
    place = (how == bad -> dead : nowhere)
}

#define STILL_JOB(t)  (op[t] == 1 && token == t)
#define STILL_HELD(t) (op[t] > 1 && held[op[t] - 1] == t)

inline do_claim(me) {                 /* claim.lua; repeated, it answers with what it took */
    if
    :: STILL_JOB(t[me]) -> word = job
    :: STILL_HELD(t[me]) -> c[me] = op[t[me]] - 1; word = payload
    :: op[t[me]] != 0 && !STILL_JOB(t[me]) && !STILL_HELD(t[me]) -> word = nothing
    :: true ->                        /* the first time, or Redis has forgotten it */
        gone[t[me]] = gone[t[me]] || op[t[me]] != 0;
        if
        :: place == delayed -> place = leased; token = t[me]; op[t[me]] = 1; word = job
#ifdef BREAK_PLAIN                    /* a claim admits a payload whose id has ended */
        :: place != delayed && waiting > 0 && place != leased ->
#else
        :: waiting > 0 && place == nowhere && !result && !cancel ->
#endif
            waiting--; place = leased; token = t[me]; op[t[me]] = 1; word = job
        :: place != delayed && waiting > 0 ->
            fresh_claim(me);
            waiting--; op[t[me]] = 1 + c[me]; word = payload;
#ifndef BREAK_POP                     /* the payload is popped in one step and leased in another */
            held[c[me]] = t[me]
#endif
        :: place != delayed && waiting == 0 -> word = nothing
        fi
    fi
}

inline do_admit(me) {                 /* admit.lua; repeated, it answers as it did */
    if
#ifndef BREAK_ADMIT                   /* where the payload is by now is not looked at */
    :: held[c[me]] != t[me] ->
        word = (twin[c[me]] -> duplicate : (token == t[me] -> mine : lost))
    :: held[c[me]] == t[me] ->
#else
    :: true ->
#endif
        held[c[me]] = 0;
        if
#ifdef BREAK_TWINS                    /* an id that has ended is admitted again */
        :: LIVE ->
#else
        :: LIVE || result ->
#endif
            twins++; twin[c[me]] = true; word = duplicate
        :: else -> place = leased; token = t[me]; word = mine
        fi
    fi
}

inline do_settle(me, how) {           /* settle.lua: done() and later() */
    if
    :: token == t[me] && how != later -> finish(how)
#ifdef BREAK_TOKEN                    /* whoever says so puts the job back */
    :: how == later -> place = delayed; token = 0; calls_left++
#else
    :: token == t[me] && how == later -> place = delayed; token = 0; calls_left++
#endif
#ifdef BREAK_FIRST                    /* a late answer is taken whatever has been */
    :: token != t[me] && how == good -> finish(how)
#else
    :: token != t[me] && how == good && !result -> finish(how)
#endif
    :: else
    fi
}

inline serve(me, what, how) {
    if
    :: what == claim -> do_claim(me)
    :: what == admit -> do_admit(me)
    :: what == settle -> do_settle(me, how)
    fi;
    KEPT
}

#define GOES_WRONG faults > 0 -> faults--

#define SEND(what, how) \
    if :: true \
       :: !copied && GOES_WRONG; copied = true; t[WIRE] = t[me]; c[WIRE] = c[me]; wire ! what(how) fi; \
    serve(me, what, how)

active [2] proctype Worker() {
    byte me = _pid, n; mtype word, how;
begin: true;
    atomic {
        t[me] = 0; c[me] = 0; word = nothing; how = nothing; forget();
        if
        :: REST -> goto over
        :: waiting > 0 || place == delayed -> fresh_token(me); goto claim_now
        fi
    }
claiming: true;
    atomic {
        true;
claim_now:
        SEND(claim, nothing);
        if
        :: GOES_WRONG; goto claiming                     /* the reply is lost */
        :: GOES_WRONG; gone[t[me]] = true; goto begin       /* it dies, and comes back with nothing in hand */
        :: word == nothing -> goto begin
        :: word == payload -> goto admitting
        :: word == job -> goto calling
        fi
    }
admitting: true;
    atomic {
        SEND(admit, nothing);
        if
        :: GOES_WRONG; goto admitting
        :: GOES_WRONG; gone[t[me]] = true; goto begin
        :: word == duplicate || word == lost -> goto begin
        :: word == mine -> goto calling
        fi
    }
calling: true;
    atomic {
        if
        :: recoveries >= MOST -> how = bad                  /* cause `crash`, without a call */
        :: recoveries < MOST && cancel -> how = cancelled
        :: recoveries < MOST ->
            assert(calls_left > 0); calls_left--;
            if
            :: how = good
            :: how = bad
            :: cancel -> how = cancelled
            :: GOES_WRONG; how = later
            :: GOES_WRONG; gone[t[me]] = true; goto begin
            fi
        fi
    }
settling: true;
    atomic {
        SEND(settle, how);
        if
        :: GOES_WRONG; goto settling
        :: goto begin
        fi
    }
over:
    assert(result || buried == PAYLOADS)
}

active proctype Wire() {              /* what was on its way when its sender gave it up */
    byte n; mtype what, word, how;
end:
    do
    :: atomic {
           wire ? what(how) ->
           if :: what == claim -> gone[t[WIRE]] = true :: else fi;
           serve(WIRE, what, how);
           t[WIRE] = 0; c[WIRE] = 0; forget(); what = nothing; word = nothing; how = nothing }
    od
}

#define RAN_OUT(t)    (gone[t] || faults > 0)
#define USE_UP(t)     if :: gone[t] :: else -> faults-- fi
#define TAKE_BACK(c) \
    :: atomic { held[c] != 0 && RAN_OUT(held[c]) -> \
           USE_UP(held[c]); held[c] = 0; deaths++; \
           if :: deaths >= MOST -> buried++; deaths = 0 :: else -> waiting++ fi; KEPT }

active proctype Tick() {              /* tick.lua: recover() and cancel_one() */
    do
    :: REST && !cancel -> break
#ifndef BREAK_RECOVERY                /* nobody looks for leases that ran out */
    :: atomic { place == leased && RAN_OUT(token) ->
           USE_UP(token); place = delayed; token = 0; calls_left++; KEPT;
           if :: recoveries < MOST -> recoveries++ :: else fi }
    TAKE_BACK(1) TAKE_BACK(2) TAKE_BACK(3) TAKE_BACK(4) TAKE_BACK(5)
#endif
#ifdef BREAK_CANCEL                   /* whether the job is there is not looked at */
    :: atomic { cancel -> cancel = false;
#else
    :: atomic { cancel && !LIVE -> cancel = false;
#endif
           if :: result :: else -> result = true fi }
    od
}

active proctype User() {
    if :: cancel = true :: true fi
}
