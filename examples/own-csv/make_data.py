"""Write reviews.csv: 1,200 short reviews of an imaginary shop in four classes, generated; the standard library is enough."""

import csv
import random
from pathlib import Path

SAID = {
    "delivery": ("the parcel", "my order", "the courier"),
    "price": ("the price", "the invoice", "the discount"),
    "product": ("the lamp", "the chair", "the kettle"),
    "service": ("your support", "the hotline", "the man in the shop"),
}
HOW = {
    "delivery": (
        "came a week late",
        "was left in the rain",
        "arrived in two days",
        "never reached me",
        "went to my neighbour",
    ),
    "price": (
        "is higher than announced",
        "was wrong twice",
        "made me buy again",
        "did not count the voucher",
        "is fair",
    ),
    "product": (
        "broke on the first day",
        "is sturdier than I thought",
        "has a scratch",
        "looks like the picture",
        "hums",
    ),
    "service": ("called back at once", "kept me waiting", "knew the answer", "was rude", "sent me a new one"),
}
AROUND = ("", "Sadly ", "To be honest ", "Once more ", "I must say that ")
AFTER = ("", ", thank you", ", as always", ", and nobody told me", ", would order again")

rng = random.Random(0)
rows = set()
while len(rows) < 1200:
    label = rng.choice(sorted(SAID))
    other = rng.choice(sorted(SAID))
    text = f"{rng.choice(AROUND)}{rng.choice(SAID[label])} {rng.choice(HOW[label])}{rng.choice(AFTER)}"
    if rng.random() < 0.3:  # it speaks of something else too, later
        text += f"; {rng.choice(SAID[other])} {rng.choice(HOW[other])}"
    rows.add((text, label))
with Path(__file__).with_name("reviews.csv").open("w", encoding="utf-8", newline="") as stream:
    writer = csv.writer(stream)
    writer.writerow(("review", "about"))
    writer.writerows(rng.sample(sorted(rows), len(rows)))
