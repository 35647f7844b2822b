"""Requests to an assistant in the generated logs, each with a right and a wrong answer."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Rng = np.random.Generator


class Task(NamedTuple):
    """A prompt, the text of a right and of a wrong answer, and an example to add to either."""

    prompt: str
    right: str
    wrong: str
    example: str


def one_of(rng: Rng, items):
    """Return one of several items, all equally likely."""
    return items[int(rng.integers(len(items)))]


def _two(rng: Rng, items):
    first, second = rng.choice(len(items), size=2, replace=False)
    return items[first], items[second]


def _arithmetic(rng: Rng) -> Task:
    a, b = (int(value) for value in rng.integers(3, 60, size=2))
    word, value = one_of(rng, [("plus", a + b), ("minus", a - b), ("times", a * b)])
    error = int(one_of(rng, [-10, -2, 1, 10, 20]))
    ask = one_of(rng, ["What is {}?", "Calculate {} for me.", "Quick check: how much is {}?"])
    return Task(
        ask.format(f"{a} {word} {b}"),
        f"The answer is {value}: {a} {word} {b} makes {value}.",
        f"The answer is {value + error}: {a} {word} {b} makes {value + error}.",
        "To check it, round both numbers first and see that the result is close.",
    )


def _units(rng: Rng) -> Task:
    one, other, factor = one_of(
        rng,
        [
            ("kilometres", "miles", 0.621), ("miles", "kilometres", 1.609),
            ("kilograms", "pounds", 2.205), ("inches", "centimetres", 2.54),
            ("litres", "US gallons", 0.264), ("hours", "minutes", 60.0),
        ],
    )  # fmt: skip
    amount = int(rng.integers(2, 80))
    return Task(
        f"How many {other} are {amount} {one}?",
        f"{amount} {one} are about {amount * factor:.1f} {other}.",
        f"{amount} {one} are about {amount / factor + 3:.1f} {other}.",
        f"One of the {one} is {factor:g} {other}, so multiply by that.",
    )


_CAPITALS = [
    ("Peru", "Lima"), ("Canada", "Ottawa"), ("Australia", "Canberra"), ("Kenya", "Nairobi"),
    ("Norway", "Oslo"), ("Portugal", "Lisbon"), ("Japan", "Tokyo"), ("Egypt", "Cairo"),
    ("Chile", "Santiago"), ("Poland", "Warsaw"), ("Greece", "Athens"), ("Cuba", "Havana"),
    ("Turkey", "Ankara"), ("Vietnam", "Hanoi"), ("Hungary", "Budapest"), ("Ghana", "Accra"),
]  # fmt: skip


def _facts(rng: Rng) -> Task:
    (country, city), (_, other) = _two(rng, _CAPITALS)
    ask = one_of(rng, ["What is the capital of {}?", "Which city is the capital of {}?"])
    return Task(
        ask.format(country),
        f"The capital of {country} is {city}.",
        f"The capital of {country} is {other}.",
        f"For example, the parliament and most ministries of {country} sit there.",
    )


_PHRASES = {
    "good morning": ("bonjour", "buenos días", "guten Morgen"),
    "thank you very much": ("merci beaucoup", "muchas gracias", "vielen Dank"),
    "where is the station": ("où est la gare", "dónde está la estación", "wo ist der Bahnhof"),
    "I am hungry": ("j'ai faim", "tengo hambre", "ich habe Hunger"),
    "see you tomorrow": ("à demain", "hasta mañana", "bis morgen"),
    "the bill, please": ("l'addition, s'il vous plaît", "la cuenta, por favor", "zahlen, bitte"),
    "how much does it cost": ("combien ça coûte", "cuánto cuesta", "wie viel kostet das"),
    "I do not understand": ("je ne comprends pas", "no entiendo", "ich verstehe nicht"),
    "happy birthday": ("joyeux anniversaire", "feliz cumpleaños", "alles Gute zum Geburtstag"),
    "a glass of water": ("un verre d'eau", "un vaso de agua", "ein Glas Wasser"),
}
_LANGUAGES = ("French", "Spanish", "German")


def _translation(rng: Rng) -> Task:
    phrase, other = _two(rng, list(_PHRASES))
    column = int(rng.integers(3))
    language = _LANGUAGES[column]
    ask = one_of(rng, ["Translate '{}' into {}.", "How do I say '{}' in {}?"])
    return Task(
        ask.format(phrase, language),
        f"In {language} that is: {_PHRASES[phrase][column]}.",
        f"In {language} that is: {_PHRASES[other][column]}.",
        "You can use it with friends and with strangers alike.",
    )


_CODE = [
    ("reverse a list", "items[::-1]", "items.sort()"),
    ("read a text file", "Path(name).read_text()", "name.readlines()"),
    ("remove duplicates from a list", "list(dict.fromkeys(items))", "items.remove(items)"),
    ("sort a list of dicts by a key", "sorted(rows, key=lambda r: r['age'])", "rows.sort('age')"),
    ("join strings with commas", "', '.join(words)", "words.join(', ')"),
    ("count words in a text", "Counter(text.split())", "len(text)"),
    ("get today's date", "date.today()", "time.date()"),
    ("merge two dicts", "one | other", "one.append(other)"),
    ("check that a key exists", "key in table", "table.has(key)"),
    ("parse JSON", "json.loads(text)", "eval(text)"),
    ("flatten a nested list", "[x for row in rows for x in row]", "rows.flatten()"),
    ("round to two digits", "round(value, 2)", "value.round(0)"),
]


def _code(rng: Rng) -> Task:
    goal, right, wrong = one_of(rng, _CODE)
    ask = one_of(rng, ["How do I {} in Python?", "Python: what is the short way to {}?",
                     "Show me code to {} in Python."])  # fmt: skip
    return Task(
        ask.format(goal),
        f"You can write `{right}`, which does just that.",
        f"You can write `{wrong}`, which does just that.",
        f"For example: `result = {right}` and then `print(result)`.",
    )


_DISHES = [
    ("tomato soup", "soften onions, add tomatoes and stock, simmer and blend", "a basil leaf"),
    ("pancakes", "whisk flour, milk and eggs, rest the batter and fry thinly", "lemon and sugar"),
    ("rice", "rinse it, add twice the water, cover and simmer for 15 minutes", "a knob of butter"),
    ("an omelette", "beat the eggs, pour into hot butter and fold when just set", "chives"),
    ("roast potatoes", "parboil, shake, coat in hot fat and roast until crisp", "rosemary"),
    ("hummus", "blend chickpeas with tahini, lemon, garlic and a little ice water", "olive oil"),
    ("apple crumble", "rub butter into flour and sugar, cover the apples and bake", "custard"),
    ("guacamole", "mash avocado with lime, onion, coriander and salt", "warm tortillas"),
]


def _recipe(rng: Rng) -> Task:
    (dish, steps, side), (_, other, _) = _two(rng, _DISHES)
    ask = one_of(
        rng, ["How do I make {}?", "Simple recipe for {}, please.", "Teach me to cook {}."]
    )
    return Task(
        ask.format(dish),
        f"For {dish}, {steps}.",
        f"For {dish}, {other}.",
        f"Serve it with {side}, and taste for salt at the end.",
    )


def _email(rng: Rng) -> Task:
    who = one_of(rng, ["my landlord", "my manager", "a customer", "my teacher", "the bank"])
    what, other = _two(
        rng,
        [
            "the broken heating", "a day off on Friday", "the late invoice", "a new meeting time",
            "a lost card", "the missing parcel", "my thesis draft",
        ],
    )  # fmt: skip
    return Task(
        f"Write a short email to {who} about {what}.",
        f"Hello, I am writing about {what}. Could you let me know how to proceed? Kind regards",
        f"Hello, I am writing about {other}. Please pay at once. Regards",
        f"Subject: {what}. I am free on weekdays after four if a call is easier.",
    )


def _summary(rng: Rng) -> Task:
    body, other = _two(rng, ["The council", "The school", "The museum", "The clinic", "The team"])
    did = one_of(
        rng, ["opened a second site", "cut its prices", "hired ten people", "moved online"]
    )
    why, why_not = _two(
        rng, ["demand had doubled", "costs had fallen", "the roof leaked", "visitors had asked"]
    )
    return Task(
        f"Summarise: {body} {did} last spring because {why}, after a long debate.",
        f"{body} {did} because {why}.",
        f"{other} closed because {why_not}.",
        "In one line: a change last spring, decided after debate.",
    )


_CITIES = [
    ("Rome", "the Forum, the Pantheon and Trastevere"), ("Paris", "the Louvre and Montmartre"),
    ("Lisbon", "Alfama, Belém and the trams"), ("Kyoto", "Fushimi Inari and the temple gardens"),
    ("Vienna", "Schönbrunn and the coffee houses"), ("Cairo", "the pyramids and the old bazaar"),
    ("Prague", "the castle and the Charles Bridge"), ("Lima", "Miraflores and the old centre"),
]  # fmt: skip


def _travel(rng: Rng) -> Task:
    (city, sights), (_, other) = _two(rng, _CITIES)
    days = int(rng.integers(1, 6))
    ask = one_of(rng, ["What should I see in {} in {} days?", "Plan {} for {} days."])
    return Task(
        ask.format(city, days),
        f"In {city} do not miss {sights}.",
        f"In {city} do not miss {other}.",
        "Start early, keep one afternoon free and book tickets ahead.",
    )


_WHY = [
    ("is the sky blue", "air scatters blue light more than red", "it mirrors the sea"),
    ("does ice float", "water expands as it freezes", "ice is full of salt"),
    ("do we have seasons", "the Earth's axis is tilted", "the Earth moves nearer to the Sun"),
    ("do leaves turn yellow", "they lose their green chlorophyll", "they rust in the rain"),
    ("does bread rise", "yeast gives off carbon dioxide", "the oven fan blows it up"),
    ("do onions make us cry", "cutting them sets free an irritating gas", "they smell of pepper"),
    ("is the sea salty", "rivers carry dissolved minerals into it", "fish make the salt"),
    ("do cats purr", "muscles of the larynx twitch quickly", "their heart beats loudly"),
]


def _science(rng: Rng) -> Task:
    question, right, wrong = one_of(rng, _WHY)
    ask = one_of(rng, ["Why {}?", "Explain to a child: why {}?", "In short, why {}?"])
    return Task(
        ask.format(question),
        f"The reason is that {right}.",
        f"The reason is that {wrong}.",
        "You can see it yourself in a small experiment at home.",
    )


_SPELLING = [
    ("their", "there", "They left ___ coats here"), ("its", "it's", "The dog wagged ___ tail"),
    ("affect", "effect", "Noise can ___ sleep"), ("fewer", "less", "We had ___ guests today"),
    ("than", "then", "She is taller ___ me"), ("lose", "loose", "Do not ___ the key"),
    ("whose", "who's", "I know ___ bag it is"), ("advice", "advise", "Thanks for your ___"),
]  # fmt: skip


def _grammar(rng: Rng) -> Task:
    right, wrong, sentence = one_of(rng, _SPELLING)
    one, other = _two(rng, [right, wrong])
    return Task(
        f"Which is correct, {one} or {other}: '{sentence}'?",
        f"'{right}' is correct: {sentence.replace('___', right)}.",
        f"'{wrong}' is correct: {sentence.replace('___', wrong)}.",
        "A trick: say the sentence slowly and replace the word by a simpler one.",
    )


_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _calendar(rng: Rng) -> Task:
    start, later = int(rng.integers(7)), int(rng.integers(2, 30))
    right = _DAYS[(start + later) % 7]
    wrong = _DAYS[(start + later + int(rng.integers(1, 7))) % 7]
    return Task(
        f"What day is it {later} days after a {_DAYS[start]}?",
        f"It is a {right}: count {later} days on from the {_DAYS[start]}.",
        f"It is a {wrong}: count {later} days on from the {_DAYS[start]}.",
        f"Every seven days is a {_DAYS[start]} again, so only the remainder counts.",
    )


# The keys complete the sentence "I cannot help with ...".
TASKS: dict[str, Callable[[Rng], Task]] = {
    "arithmetic": _arithmetic,
    "units": _units,
    "capitals": _facts,
    "translations": _translation,
    "code": _code,
    "recipes": _recipe,
    "emails": _email,
    "summaries": _summary,
    "travel plans": _travel,
    "science": _science,
    "grammar": _grammar,
    "dates": _calendar,
}
