"""faults: what is done to workers, Redis, the links and the API. Each is a function of the stage, the
dice and `later(seconds, action)`; it begins at once and plans its own end. It returns the note of the
jobs it exposed to a second call (stage.expose), or None where it could not be done now.
"""
import signal
import time

import redis

FAULTS = {}
NOBODY = {"ids": []}  # exposed: whatever is called twice for this is a failure
API_KINDS = ["529", "500", "429", "reset", "reset-mid", "truncate", "garbage", "html", "empty",
             "timeout", "slow-headers"]


def fault(function):
    FAULTS[function.__name__] = function
    return function


def someone(stage, dice):
    free = [m for m in stage.members if not m.busy and m.id]
    return dice.choice(free) if len(free) > 1 else None  # one at least is left in peace


def lease_s(stage):
    return stage.opt.lease_ms / 1000


# ------------------------------------------------------------------------------------ workers

@fault
def kill(stage, dice, later):
    """kill -9 of a worker; another takes its place"""
    member = someone(stage, dice)
    if not member:
        return None
    member.worker.kill()
    note = stage.expose("kill", member)
    stage.members.remove(member)
    stage.remove(member, -signal.SIGKILL)
    stage.add_worker()
    return note


def pause_member(stage, member, name, seconds, stop, go_on, later):
    """Both for a stopped process and for a link that carries nothing."""
    member.busy = True
    stop()
    note = stage.expose(name, member)
    began = time.monotonic()

    def end():
        go_on()
        member.busy = False
        if time.monotonic() - began < 0.3 * lease_s(stage):  # it was renewed less than 1/3 ago
            stage.withdraw(note)
    later(seconds, end)
    return note


def how_long(stage, dice):
    """Short enough that every lease is renewed in time, or past the lease."""
    short, long = dice.uniform(0.02, 0.2), dice.uniform(1.1, 1.4)
    return (short if dice.random() < 0.5 else long) * lease_s(stage)


@fault
def stop(stage, dice, later):
    """SIGSTOP of a worker, shortly or past its lease, and SIGCONT"""
    member = someone(stage, dice)
    if not member:
        return None
    return pause_member(stage, member, "stop", how_long(stage, dice),
                        lambda: member.worker.signal(signal.SIGSTOP),
                        lambda: member.worker.signal(signal.SIGCONT), later)


@fault
def roll(stage, dice, later):
    """a rolling restart: a new worker, then SIGTERM for an old one, which must end with 0"""
    member = someone(stage, dice)
    if not member:
        return None
    stage.add_worker()
    stage.drain(member)
    return NOBODY


# ------------------------------------------------------------------------------------ links

def pause_link(stage, dice, state, later):
    member = someone(stage, dice)
    if not member:
        return None
    return pause_member(stage, member, state, how_long(stage, dice), lambda: member.link.set(state),
                        lambda: member.link.set("pass"), later)


@fault
def cut(stage, dice, later):
    """the link of a worker is cut, shortly or past its lease"""
    return pause_link(stage, dice, "cut", later)


@fault
def hang(stage, dice, later):
    """bytes between a worker and Redis are held up, shortly or past its lease, then delivered"""
    return pause_link(stage, dice, "hang", later)


@fault
def slow(stage, dice, later):
    """each piece of what a worker and Redis say to one another takes up to 0.2 s"""
    member = someone(stage, dice)
    if not member:
        return None
    member.busy = True
    member.link.set("slow", dice.uniform(0.02, 0.2))

    def end():
        member.link.set("pass")
        member.busy = False
    later(dice.uniform(1, 3), end)
    return NOBODY


# ------------------------------------------------------------------------------------ Redis

@fault
def restart(stage, dice, later):
    """kill -9 of Redis (appendfsync always), and its return"""
    if stage.redis_away:
        return None
    stage.redis_dies()
    later(dice.uniform(0, 2), stage.redis_returns)
    return NOBODY


@fault
def disk(stage, dice, later):
    """Redis' disk is full: it ends at the first write of its AOF; then there is room again"""
    if stage.redis_away:
        return None
    stage.redis_away = True
    stage.redis.full_disk()

    def end():
        stage.redis.process.kill()  # where nothing was written meanwhile
        stage.redis.process.wait()
        stage.redis_returns()
    later(dice.uniform(0.5, 2), end)
    return NOBODY


@fault
def clock(stage, dice, later):
    """Redis' clock is set, by up to two leases forward or back, and stays so"""
    if stage.redis_away:
        return None
    seconds = dice.choice((-1, 1)) * dice.uniform(0.2, 2) * lease_s(stage)
    note = stage.expose("clock")  # forward, what is held just then runs out at once
    stage.redis.step_clock(seconds)
    try:  # and what was taken between that look and the step
        stage.add(note, sorted(set(stage.held()) - set(note["ids"])))
    except redis.RedisError:
        pass
    return note


def tell_redis(stage, *words):
    if stage.redis_away:
        return None
    try:
        stage.redis.client.execute_command(*words)
    except redis.RedisError:
        return None
    return NOBODY


@fault
def reset(stage, dice, later):
    """CLIENT KILL of every connection"""
    return tell_redis(stage, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


@fault
def pause(stage, dice, later):
    """CLIENT PAUSE: Redis answers nobody for up to a tenth of a lease"""
    return tell_redis(stage, "CLIENT", "PAUSE", str(int(dice.uniform(0.02, 0.1) * stage.opt.lease_ms)))


@fault
def flush(stage, dice, later):
    """SCRIPT FLUSH"""
    return tell_redis(stage, "SCRIPT", "FLUSH")


# ------------------------------------------------------------------------------------ the API

@fault
def api(stage, dice, later):
    """the API overloads, fails, hangs, breaks off, talks nonsense: a kind each time, a third of calls"""
    if stage.api_busy:
        return None
    kind = dice.choice(API_KINDS)
    rate = 0.03 if kind == "timeout" else 0.3
    stage.api_busy = True
    stage.sim.config(fail={kind: rate})

    def end():
        stage.sim.config(fail={})
        stage.api_busy = False
    later(dice.uniform(1, 2), end)
    return NOBODY


@fault
def refuse(stage, dice, later):
    """the API refuses connections, and resets those it has"""
    if stage.api_busy:
        return None
    stage.api_busy = True
    since = stage.sim.stats()["requests"]
    note = stage.expose("refuse")  # an answer may be lost on its way
    stage.sim.refuse()
    stage.expose_arrivals(note, since)

    def end():
        stage.sim.accept()
        stage.api_busy = False
    later(dice.uniform(0.2, 1.5), end)
    return note
