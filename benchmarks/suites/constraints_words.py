"""What the constraints suite writes with: subjects and their clauses, openers, tails, and how tasks are worded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Words:
    """One split's material.

    Attributes:
        subjects: what to write about, with clauses that can stand as sentences.
        openers: what may stand before a clause.
        tails: what may follow one.
        must: words to use, each with tails that hold it and tails that hold a near form of it.
        avoid: words not to use, each with tails that hold it.
        leads: how the task begins.
        told: how each kind of constraint is worded; a kind that is not here is never asked for.
        questions: sentences that ask.
    """

    subjects: dict[str, tuple[str, ...]]
    openers: tuple[str, ...]
    tails: tuple[str, ...]
    must: dict[str, tuple[tuple[str, ...], tuple[str, ...]]]
    avoid: dict[str, tuple[str, ...]]
    leads: tuple[str, ...]
    told: dict[str, tuple[str, ...]]
    questions: tuple[str, ...] = ()


VERBS = ("notice", "see", "remember", "picture", "imagine", "watch", "enjoy", "consider", "observe")
BY_LETTER = {
    "a": ("At noon", "All around", "After dark", "Again"),
    "d": ("Day after day", "Down there", "During supper"),
    "e": ("Early on", "Each day", "Even now"),
    "h": ("Here", "High above", "Hour by hour"),
    "i": ("In spring", "Inside", "In the distance"),
    "l": ("Later", "Little by little", "Late in the day"),
    "m": ("Meanwhile", "Most days", "More than once"),
    "n": ("Nearby", "Now", "Not far away"),
    "o": ("Outside", "Once a week", "On some days", "Often"),
    "p": ("Perhaps", "Past the gate", "Piece by piece"),
    "r": ("Right now", "Round the corner", "Rarely now"),
    "s": ("Sometimes", "Soon", "Side by side"),
    "t": ("Today", "Then", "To one side"),
}

TRAINING = Words(
    {
        "a harbour at dawn": (
            "the fishing boats slip past the wall", "gulls argue over a torn net", "a rope creaks against the pier",
            "the first lamps go out on deck", "an engine coughs and settles down", "crates of ice wait by the door",
            "the tide lifts the hulls a little", "two men carry a basket of crabs", "the smell of diesel hangs over the steps",
        ),
        "baking bread": (
            "the dough rises under a damp cloth", "flour settles on the wooden board", "the oven ticks as it warms",
            "steam fogs the kitchen window", "the crust begins to crack", "a bowl of yeast foams on the shelf",
            "my hands remember how to fold", "the loaf sounds hollow underneath", "crumbs gather beside the knife",
        ),
        "a railway station": (
            "a voice reads out the platforms", "suitcases roll over the tiles", "the clock jumps to the next minute",
            "a child counts the passing wagons", "two friends wave through the glass", "pigeons walk between the benches",
            "the coffee stall opens its shutter", "a train sighs and stops", "somebody runs for the last door",
        ),
        "a vegetable garden": (
            "beans climb along the strings", "a snail crosses the wet path", "the soil smells of rain",
            "tomatoes lean against their stakes", "bees work through the thyme", "the old spade stands by the shed",
            "lettuce fills the shady corner", "water drips from the barrel", "a robin waits for worms",
        ),
        "the first snow": (
            "the street turns white within an hour", "footprints lead to the bakery", "branches bend under their load",
            "cars creep around the corner", "children search for their gloves", "the roofs lose their edges",
            "a dog chases falling flakes", "every sound comes from far away", "the fence wears a thin cap",
        ),
        "a public library": (
            "readers turn pages near the radiator", "a trolley of returns squeaks by", "dust floats above the atlases",
            "the librarian stamps another card", "a student sleeps on her notes", "maps cover the long table",
            "rain taps on the skylight", "someone whispers between the shelves", "the newspapers hang on their rods",
        ),
        "a village football match": (
            "the goalkeeper shouts at his defenders", "mud covers the penalty spot", "grandparents watch from folding chairs",
            "the referee looks at his watch", "a shot rattles the crossbar", "both teams run out of breath",
            "the ball lands in the nettles", "a whistle ends the first half", "orange slices go from hand to hand",
        ),
        "an old lighthouse": (
            "the lamp turns above the rocks", "salt eats at the iron railing", "ships keep well away from the reef",
            "the stairs wind up to the lens", "a keeper once lived below", "fog wraps around the tower",
            "the walls hum in the wind", "seabirds nest on the ledge", "the beam sweeps over the water",
        ),
    },
    ("Today", "Sometimes", "Early on", "By eight", "Outside", "Now and then", "For a while", "Nearby", "As usual", "Meanwhile",
     "Little by little", "On most days"),
    ("again", "quickly", "softly", "patiently", "once more", "in turn", "without hurry", "step by step", "for a moment", "at last", "in the cold", "as if nothing else mattered",
     "before anyone has said a word", "long before noon", "with great care", "day after day", "until the light is gone",
     "just like last year", "while the rest of us look on"),
    {
        "quiet": (("in the quiet air", "with quiet patience", "after a quiet night"), ("quietly", "more quietly than before")),
        "silver": (("in silver light", "under a silver sky", "like a silver thread"), ("in silvery light", "like silverware")),
        "familiar": (("in the familiar order", "like a familiar song", "in a familiar way"), ("with great familiarity", "in an unfamiliar way")),
        "calm": (("in perfect calm", "with a calm that lasts", "in the calm of the hour"), ("calmly", "in a calmer mood")),
    },
    {
        "very": ("with very little fuss", "very slowly", "at a very calm pace"),
        "always": ("as always", "as always before"),
        "beautiful": ("on this beautiful day", "in beautiful weather"),
    },
    ("Write a short text about {s}.", "Please write a few lines about {s}.", "I need a little piece of writing about {s}."),
    {
        "sentences": ("Write exactly {v} sentences.", "It has {v} sentences, no more and no fewer."),
        "bullets": ("Write it as exactly {v} bullet points, each on a line that starts with a hyphen.",
                    "Make it a list of exactly {v} lines, each starting with \"- \"."),
        "acrostic": ("Make it an acrostic: the first letters of its lines, from top to bottom, spell {v}.",),
        "most": ("Use at most {v} words.", "Stay within {v} words."),
        "least": ("Use at least {v} words.", "Write no fewer than {v} words."),
        "between": ("Use between {v[0]} and {v[1]} words.",),
        "word": ("Use the word \"{v}\".", "The word \"{v}\" must appear."),
        "avoid": ("Do not use the word \"{v}\".",),
        "comma": ("Do not use any commas.", "Write it without commas."),
        "exclaim": ("End with an exclamation mark.",),
        "start": ("Begin with the word \"{v}\".", "Let the first word be \"{v}\"."),
        "lower": ("Use lower-case letters only.", "Write everything in lower case."),
        "quoted": ("Put the whole text in double quotation marks, from the first word to the last.",),
        "number": ("Mention the year {v} in digits.", "Name the year {v}, written in digits."),
    },
)  # fmt: skip

HELD_OUT = Words(
    {
        "a night market": (
            "lanterns sway above the stalls", "noodles hiss in a wide pan", "a vendor peels mangoes for the queue",
            "scooters squeeze between the tables", "smoke drifts across the fairy lights", "strangers share a plastic bench",
            "a radio plays from under the counter", "cats inspect the fish boxes", "spices stain the wooden scoops",
        ),
        "a mountain hut": (
            "boots dry beside the stove", "the warden ladles soup into bowls", "clouds close over the ridge",
            "hikers compare their blisters", "a map lies open on the bench", "the spring runs behind the wall",
            "bunks creak in the dark", "goats lick the doorstep", "the last light leaves the glacier",
        ),
        "repairing a bicycle": (
            "the chain slips off its ring", "grease marks every finger", "a patch covers the small hole",
            "the brakes need a new cable", "spokes hum as the wheel spins", "a screw rolls under the cupboard",
            "the pump wheezes at each stroke", "the saddle sits a little higher", "the bell rings for a test",
        ),
        "a thunderstorm": (
            "the wind pulls at the awnings", "lightning shows the far hills", "hail bounces off the car roofs",
            "gutters spill onto the pavement", "the dog hides below the stairs", "thunder rolls along the valley",
            "a shutter bangs in the attic", "the power fails in the whole street", "drops run down the pane",
        ),
        "a beekeeper's day": (
            "the smoker puffs at the entrance", "frames grow heavy with honey", "a drone wanders over the veil",
            "the queen moves among her workers", "clover blooms beyond the hives", "wax sticks to the blunt knife",
            "jars line up on the sill", "a swarm settles in the plum tree", "guards check every newcomer",
        ),
        "a space station": (
            "the crew floats into the galley", "solar panels turn to the sun", "a storm spins over the ocean below",
            "coffee drifts in a sealed pouch", "fans push the air through filters", "plants grow under violet lamps",
            "the airlock shows a green light", "a wrench hovers near the hatch", "the Earth fills the round window",
        ),
        "moving house": (
            "boxes block the narrow hallway", "the sofa refuses to fit the door", "neighbours bring a tray of cake",
            "pale squares mark the missing pictures", "the keys lie on the bare counter", "a lamp travels on my knees",
            "the van groans under its load", "tape sticks to everything", "echoes fill the empty rooms",
        ),
        "an orchestra rehearsal": (
            "the oboe gives a long note", "bows rise at the same moment", "the conductor taps her stand",
            "a trumpet enters one bar early", "the cellos repeat the second theme", "pages flutter in the draught",
            "the drummer counts his rests", "violinists pencil in new fingerings", "the hall swallows the final chord",
        ),
    },
    ("Here", "Often", "At this hour", "After a pause", "Close by", "Every so often", "In between", "Tonight", "Once again",
     "At the far end", "All the while", "Without warning"),
    ("somehow", "steadily", "nearby", "gently", "all at once", "as planned", "right on cue", "as expected", "in peace", "for the third time", "under everyone's eyes",
     "with hardly a sound", "as though it had been planned", "while the others wait", "and nobody minds",
     "until the very last minute is used up", "in no particular order", "to general delight", "like every year"),
    {
        "golden": (("in golden light", "with golden patience", "for one golden hour"), ("like gold", "in a gold glow")),
        "rhythm": (("in a steady rhythm", "to the rhythm of the day", "with a rhythm of its own"), ("in old rhythms", "rhythmically")),
        "secret": (("like a well-kept secret", "in secret", "as if it were a secret"), ("secretly", "like old secrets")),
        "habit": (("out of habit", "by force of habit", "like an old habit"), ("from old habits", "in the habitual way")),
    },
    {
        "just": ("just in time", "just as before", "for just a second"),
        "really": ("without really trying", "for what it is really worth"),
        "nice": ("in a nice way", "on such a nice evening"),
    },
    ("Compose something brief on {s}.", "Could you put together a short passage on {s}?", "Give me a short text whose subject is {s}."),
    {
        "sentences": ("The text consists of exactly {v} sentences.", "Exactly {v} sentences, please."),
        "bullets": ("Format: exactly {v} bullet points, one a line, marked with a hyphen.",),
        "numbered": ("Format: a numbered list with exactly {v} items (1., 2., …), one a line.",),
        "alphabetical": ("Format: exactly {v} hyphened bullet points, in alphabetical order.",),
        "verbs": ("Format: exactly {v} hyphened bullet points, each beginning with a verb in the imperative.",),
        "most": ("The word count must not exceed {v}.", "No more than {v} words in total."),
        "least": ("The word count must reach {v}.", "A minimum of {v} words in total."),
        "between": ("The word count lies between {v[0]} and {v[1]} inclusive.",),
        "each": ("No sentence or item is longer than {v} words.",),
        "word": ("Somewhere the word \"{v}\" has to occur, in exactly this form.",),
        "twice": ("The word \"{v}\" occurs exactly twice, in exactly this form.",),
        "avoid": ("The word \"{v}\" is forbidden.", "Avoid the word \"{v}\"."),
        "comma": ("No commas anywhere.",),
        "exclaim": ("The very last character is an exclamation mark.",),
        "start": ("Its opening word is \"{v}\".",),
        "end": ("Its closing word is \"{v}\".",),
        "title": ("Above the text, on a line of its own, stands a title in capital letters.",),
        "question": ("It contains exactly one question mark.",),
    },
    ("who would want to be anywhere else?", "what more could one ask for?", "how long can this go on?"),
)  # fmt: skip

ACROSTICS = ("RAIN", "MOON", "SALT", "TIDE", "LAMP", "HOPE", "ROADS", "STONE")
YEARS = (1923, 1948, 1956, 1967, 1974, 1989, 1998, 2003, 2012)
END_TAILS = {"again": "again and again", "home": "on the way home", "night": "deep into the night"}
OTHER_ENDS = {"again": "once more", "home": "on the way back", "night": "deep into the evening"}
