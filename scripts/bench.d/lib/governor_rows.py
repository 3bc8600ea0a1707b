"""governor_rows: the scenarios of `scripts/bench governor`: what the simulator plays, the jobs, and
what must hold. Unless a row says otherwise the key has 6,000 requests a minute."""
import random

LATENCY = "lognormal:450:0.7:100:3000"
FREE = {"itpm": 60_000_000, "otpm": 60_000_000}  # limits that bind nobody
ENGLISH = "The quick brown fox jumps over the lazy dog and runs along the river. "
CHINESE = "敏捷的棕色狐狸跳过懒狗沿着河边奔跑。"


def plain(n, queue="default", rnd=None):
    return queue, {"prompt": f"job {n}", "max_tokens": 1024}


def sized(n, queue="default", rnd=None):
    """A lognormal prompt, median 800 tokens; every fifth is Chinese, in a queue of its own."""
    size = int(min(20000, 800 * rnd.lognormvariate(0, 0.7)) * 3.5)
    if n % 5 == 0:
        return "chinese", {"prompt": f"job {n} " + (CHINESE * (size // 50 + 1))[:size // 3],
                           "max_tokens": 1024}
    return queue, {"prompt": f"job {n} " + (ENGLISH * (size // 60 + 1))[:size], "max_tokens": 1024}


class Row:
    def __init__(self, name, title, jobs, sim, most=None, refused=None, **more):
        self.name, self.title, self.jobs = name, title, jobs
        self.sim = {"rpm": 6000, "burst_s": 1, "latency": LATENCY, **FREE, **sim}
        self.most, self.refused = most, refused  # t / T_adm; 429s per 1,000 answers
        self.workers = more.pop("workers", 8)
        self.concurrency = more.pop("concurrency", 16)
        self.make = more.pop("make", plain)
        self.env = more.pop("env", {})
        self.queues = more.pop("queues", "default")
        self.events = more.pop("events", [])     # (ms, what, argument)
        self.slack_s = more.pop("slack_s", 0)    # T_adm + slack_s is the ideal
        self.limits = more.pop("limits", None)   # [(from s, part of the limit)], where it changes
        self.refusals = more.pop("refusals", None)  # in all
        self.failed = more.pop("failed", None)
        self.peak = more.pop("peak", None)       # × the rate, in any second (after an outage)
        self.warm = more.pop("warm", False)      # a run before, on the same Redis
        self.reset = more.pop("reset", False)
        self.beside = more.pop("beside", None)   # printed with that row
        self.give_up = more.pop("give_up", False)
        self.end_after = more.pop("end_after", 3)  # × T_adm, then the run is cut
        self.keys = more.pop("keys", None)       # names of keys, each with the whole limit
        self.paused = more.pop("paused", None)   # a model whose pool an operator has shut
        self.shares = more.pop("shares", None)   # queue: weight
        self.short_wait = more.pop("short_wait", None)  # small queues' p99 ÷ the big one's
        self.model_of = more.pop("model_of", None)
        self.count_until = more.pop("count_until", None)
        self.makespan = more.pop("makespan", False)
        self.slow = more.pop("slow", False)      # only by name
        assert not more, more


def scale(row, part):
    """A shorter run of the same row."""
    row.jobs = int(row.jobs * part)
    return row


ARTICLE = {"PENSTOCK_GOVERNOR": "off", "PENSTOCK_BACKOFF_JITTER": "additive",
           "PENSTOCK_MAX_THROTTLES": "5"}
FULL = {"PENSTOCK_GOVERNOR": "off", "PENSTOCK_BACKOFF_JITTER": "full"}


def weighted(n, queue="default", rnd=None):
    return ("big", "small", "tiny")[0 if n % 10 < 8 else n % 10 - 7], plain(n)[1]


def few(n, queue="default", rnd=None):
    """Two queues of 60 jobs beside a large one: what is not theirs is the large one's."""
    return ("small" if n < 60 else "tiny" if n < 120 else "big"), plain(n)[1]


def two_models(n, queue="default", rnd=None):
    job = plain(n)[1]
    if n % 2:
        job["model"] = "claude-haiku-4-5"
    return queue, job


def rows():
    return [
        Row("cold", "requests bind, 1 s bucket, cold", 2600, {}, 1.04, 1),
        Row("article", "the article's policy on the first row", 2600, {}, give_up=True, env=ARTICLE,
            end_after=4, beside="cold"),
        Row("full", "full jitter and retry-after on the first row", 2600, {}, give_up=True, env=FULL,
            end_after=4, beside="cold"),
        Row("warm", "the same, a second run on the same Redis", 2600, {}, 1.02, 0, warm=True),
        Row("burst10", "requests bind, 10 s bucket", 3300, {"burst_s": 10}, 1.05, 1),
        Row("input", "input tokens bind, one queue of Chinese", 3000,
            {"rpm": 60000, "itpm": 5_000_000, "burst_s": 10}, 1.05, 2, make=sized,
            queues="default:4,chinese:1"),
        Row("produced", "output tokens bind, charged as produced", 3200,
            {"rpm": 60000, "otpm": 1_500_000, "burst_s": 10, "latency": "tokens:100:1.2"}, 1.05, 2),
        Row("reserved", "output tokens bind, reserved by max_tokens", 2500,
            {"rpm": 60000, "otpm": 1_500_000, "burst_s": 10, "latency": "tokens:100:1.2",
             "otpm_precharge": True}, 1.15, 3, env={"PENSTOCK_OUTPUT_CHARGE": "reserved"},
            makespan=True),
        Row("coarse", "output tokens bind, 90,000 a minute, 2 s bucket", 330,
            {"rpm": 6000, "otpm": 90_000, "burst_s": 2, "out_median": 120}, 1.10, 30),
        Row("stranger", "another user takes 30 %", 1900, {"other_user": 0.3}, 1.06, 10),
        Row("halved", "limit halved at 8 s", 1600, {}, 1.08, None, refusals=15,
            events=[(8000, "config", {"rpm": 3000})], limits=[(8, 0.5)]),
        Row("doubled", "limit halved at 8 s and doubled at 16 s", 2100, {}, 1.08, None, refusals=15,
            events=[(8000, "config", {"rpm": 3000}), (16000, "config", {"rpm": 6000})],
            limits=[(8, 0.5), (16, 1)]),
        Row("outage", "outage of 8 s, connection refused", 1800, {}, None, None, failed=100,
            events=[(8000, "refuse", 8000)], slack_s=11, peak=2.5),
        Row("headerless", "no rate headers, 30 s", 2600, {"headers": "none"}, 1.30, 15),
        Row("headerless-long", "no rate headers, 150 s", 14000, {"headers": "none"}, 1.05, 7,
            slow=True),
        Row("hidden", "a hidden 2 s bucket", 2600, {"burst_s": 60, "hidden_burst_s": 2}, 1.05, 10),
        Row("charged", "refused requests are charged", 2600, {"charge_refused": True}, 1.05, 5),
        Row("overload", "529 at 70 % for 20 s from the 20th on, 1,200 a minute, 60 s bucket", 2400,
            {"rpm": 1200, "burst_s": 60}, 1.05, None, failed=50,  # from before, the full bucket would run over
            events=[(20000, "config", {"fail": {"529": 0.7}, "for_ms": 20000})]),
        Row("keys", "two keys of 3,000 each", 2700, {"rpm": 3000}, 1.05, 1, keys=["a", "b"]),
        Row("many", "16 workers at once; killed at 8 s, back at 10 s", 2600, {}, 1.04, 2, workers=16,
            events=[(8000, "kill", None), (10000, "start", None)], peak=2.5, slack_s=1,
            env={"PENSTOCK_LEASE_MS": "4000"}),
        Row("weights", "weights 8:1:1, all backlogged", 2600, {}, 1.04, 2, make=weighted,
            queues="big:8,small:1,tiny:1", shares={"big": 8, "small": 1, "tiny": 1}),
        Row("few", "weights 8:1:1, 60 jobs in each of the small queues", 2600, {}, 1.04, 2, make=few,
            queues="big:8,small:1,tiny:1", short_wait=0.25),
        Row("models", "two models in one queue, one shut for good", 5000,
            {"group_by_model": True}, 1.053, None, make=two_models, model_of="claude-sonnet-5",
            paused="claude-haiku-4-5"),
        Row("free", "no limit, no headers", 6000,
            {"rpm": 0, "itpm": 0, "otpm": 0, "headers": "none", "latency": "20"}),
        Row("fast", "60,000 requests a minute, 1 s bucket", 21000,
            {"rpm": 60000, "latency": "lognormal:50:0.5:20:300"}, 1.05, 1),
    ]


def random_of(row):
    return random.Random(sum(map(ord, row.name)))
