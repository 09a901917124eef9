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
        ends: words to end with, each with a tail that does and one that does not.
        starts: words to begin with, which can stand as openers.
        acrostics: what the first letters of lines may spell; its letters are those of `BY_LETTER`.
        listings: how a task is put together from its lead and the listed constraints.
        markers: what stands before each listed constraint.
    """

    subjects: dict[str, tuple[str, ...]]
    openers: tuple[str, ...]
    tails: tuple[str, ...]
    must: dict[str, tuple[tuple[str, ...], tuple[str, ...]]]
    avoid: dict[str, tuple[str, ...]]
    leads: tuple[str, ...]
    told: dict[str, tuple[str, ...]]
    questions: tuple[str, ...]
    ends: dict[str, tuple[str, str]]
    starts: tuple[str, ...]
    acrostics: tuple[str, ...]
    listings: tuple[str, ...]
    markers: tuple[str, ...]


VERBS = ("notice", "see", "remember", "picture", "imagine", "watch", "enjoy", "consider", "observe")
BY_LETTER = {
    "a": ("At noon", "All around", "After dark", "Again"),
    "b": ("Below", "Bit by bit", "By now"),
    "c": ("Close at hand", "Come evening", "Curiously enough"),
    "d": ("Day after day", "Down there", "During supper"),
    "e": ("Early on", "Each day", "Even now"),
    "f": ("Far off", "For now", "From here"),
    "g": ("Gradually", "Given time", "Generally"),
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
    "u": ("Up there", "Under the roof", "Usually"),
    "v": ("Visibly", "Voice by voice"),
    "w": ("With luck", "Week after week", "Within minutes"),
    "y": ("Yet again", "Year after year"),
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
        "a bus ride": (
            "the driver hums behind the wheel", "rain streaks the back window", "a schoolbag blocks the aisle",
            "the doors fold open with a hiss", "an old man taps his ticket", "nobody presses the red button",
            "the route bends around the park", "a baby stares at the strap", "shop signs slide by outside",
        ),
        "a hospital corridor": (
            "a nurse pushes a squeaky cart", "the lift announces each floor", "visitors hold bunches of tulips",
            "a doctor scribbles on a chart", "the floor shines under the tubes", "somebody coughs behind a curtain",
            "slippers shuffle to the vending machine", "a phone buzzes on a chair", "the door swings shut by itself",
        ),
        "fishing at a lake": (
            "the float bobs near the reeds", "a heron stands on one leg", "my uncle opens his tin of bait",
            "ripples spread from the line", "a pike takes the hook", "mosquitoes circle the boat",
            "the reel clicks in his hands", "mist hides the other bank", "the bucket holds two small perch",
        ),
        "a chess club": (
            "a pawn falls under the table", "the clocks tick side by side", "a bishop takes the rook",
            "the champion rubs her forehead", "beginners copy the moves", "a teacher sets up the pieces",
            "tea cools beside the board", "one player offers a draw", "the king has nowhere to go",
        ),
        "a camping trip": (
            "the tent flaps in the breeze", "pine cones crackle in the fire", "a kettle hangs over the flames",
            "ants march into the sugar", "the torch needs a new battery", "an owl calls from the ridge",
            "sleeping bags lie in a row", "the pegs hit a buried stone", "porridge burns in the pot",
        ),
        "a barber shop": (
            "scissors snip above the ear", "curls gather on the tiles", "a customer reads the sports page",
            "the barber sharpens his razor", "foam drips onto the towel", "the striped pole spins outside",
            "a boy sits on a cushion", "combs soak in a tall jar", "the till rings after every cut",
        ),
        "an apple orchard": (
            "ladders lean against the trunks", "pickers fill their canvas bags", "wasps crawl over fallen fruit",
            "a tractor tows the wooden bins", "the press squeezes out the juice", "leaves stick to muddy boots",
            "a deer nibbles at a low branch", "the farmer tests a red one", "bottles of cider line the barn",
        ),
        "a street musician": (
            "the accordion wheezes on the corner", "coins drop into the open case", "a toddler dances on the kerb",
            "commuters slow down to listen", "the singer forgets the second verse", "a violin echoes under the bridge",
            "a policeman taps his foot", "the hat fills with small change", "the crowd claps at the end",
        ),
        "cleaning the attic": (
            "spiders retreat behind the beams", "a trunk holds letters from overseas", "the vacuum chokes on cobwebs",
            "old toys fall from a sack", "we find a broken gramophone", "my sister tries on a wedding hat",
            "the hatch lets in a cold draught", "a moth flies at the bulb", "rags pile up near the stairs",
        ),
        "a desert road": (
            "heat shivers above the asphalt", "a lizard darts under a rock", "the radio catches only static",
            "trucks raise long clouds of sand", "a lone cactus marks the turn", "the fuel gauge drops toward empty",
            "vultures glide over the canyon", "a sign warns of camels", "the horizon keeps its distance",
        ),
        "a swimming lesson": (
            "the coach blows into her whistle", "goggles leave rings around the eyes", "a beginner clings to the edge",
            "kickboards float across the lane", "chlorine stings in every nose", "parents wait behind the glass",
            "the smallest girl dives first", "wet fringes stick to foreheads", "lockers slam along the wall",
        ),
        "a pottery class": (
            "clay spins under wet fingers", "the bowl wobbles on the wheel", "a kiln glows in the back room",
            "glaze drips from the brush", "one vase collapses with a sigh", "aprons hang on rusty hooks",
            "the teacher trims a handle", "cups dry on the upper shelf", "a sponge wipes the table",
        ),
        "a neighbour's cat": (
            "it sleeps on the warm bonnet", "a paw pokes through the hedge", "it steals ham from our plates",
            "the collar jingles at the gate", "it glares at passing dogs", "a mouse escapes under the deck",
            "it claws at the doormat", "the milk saucer stands empty", "whiskers twitch behind the curtain",
        ),
        "a wedding dinner": (
            "the bride loosens her shoes", "waiters carry towers of plates", "an aunt cries into her napkin",
            "the best man drops his notes", "children hide below the tablecloth", "the band tunes its guitars",
            "champagne foams over the glasses", "the cake leans to one side", "cousins dance in their socks",
        ),
        "a newsroom": (
            "phones ring on every desk", "the editor crosses out a headline", "a printer jams near the exit",
            "reporters argue about a source", "screens flicker along the wall", "coffee stains the morning edition",
            "an intern fetches the photographs", "the deadline moves closer", "keyboards clatter without a break",
        ),
        "a winter walk": (
            "ice cracks in the puddles", "our breath hangs in the air", "a jogger slips by the pond",
            "crows gather on the bare oak", "the path crunches under boots", "smoke rises from a chimney",
            "a sledge leaves two tracks", "the stream runs below the ice", "my scarf scratches my chin",
        ),
        "a flea market": (
            "a seller unpacks chipped plates", "buyers haggle over a rug", "postcards spill from a shoebox",
            "a doll stares from the heap", "somebody tests a rusty drill", "old coats sway on a rail",
            "the price drops by half", "a collector inspects the stamps", "rain threatens the paperbacks",
        ),
        "a night at the theatre": (
            "the curtain sticks halfway up", "an usher points to our row", "the lead actor limps on stage",
            "programmes rustle in the stalls", "a spotlight finds the villain", "the prompter mouths the lines",
            "somebody unwraps a toffee", "the audience rises to applaud", "wigs wait in the dressing room",
        ),
        "a dentist's waiting room": (
            "a drill whines behind the door", "magazines curl on the low table", "a fish tank bubbles in the corner",
            "the receptionist files her nails", "my cheek begins to throb", "a girl swings her legs",
            "the chairs squeak on the lino", "someone calls out the next name", "a poster shows healthy gums",
        ),
    },
    ("Today", "Sometimes", "Early on", "By eight", "Outside", "Now and then", "For a while", "Nearby", "As usual", "Meanwhile",
     "Little by little", "On most days", "Later", "Before long", "In the meantime", "At first", "After lunch", "This time",
     "One by one", "On Fridays", "Every morning", "To begin with", "From time to time", "In the background", "Most afternoons",
     "Once in a while", "On the left", "At the same time", "As the day goes on", "Behind us", "In one corner", "Further along",
     "By then", "For the moment", "On a good day", "Without fail", "Down below", "In short", "As ever", "Toward evening",
     "Between two showers", "Around here", "Luckily", "For some reason", "In the early hours", "On the other side"),
    ("again", "quickly", "softly", "patiently", "once more", "in turn", "without hurry", "step by step", "for a moment", "at last", "in the cold", "as if nothing else mattered",
     "before anyone has said a word", "long before noon", "with great care", "day after day", "until the light is gone",
     "like last year", "while the rest of us look on", "slowly", "today", "indoors", "together", "alone", "twice", "as before",
     "in silence", "for hours", "on purpose", "by accident", "without warning signs", "at full speed", "in broad daylight",
     "for good reason", "against all odds", "as best they can", "in the usual place", "for no clear reason", "more than once",
     "with a grin", "out of nowhere", "in plain sight", "at the worst moment", "to our surprise", "with some effort",
     "in front of the others", "at a steady pace", "for the whole afternoon", "like in an old film", "from one end to the other",
     "as the minutes tick by", "in spite of the weather", "while somebody keeps count", "and then it starts over",
     "as it has for years", "though hardly anybody pays attention", "because there is no other way", "and it takes all morning",
     "as far as I can tell", "until someone puts a stop to it", "and the rest can wait until tomorrow",
     "so that all of us can see", "which is how it should be", "no matter what the others think of it",
     "and that is only the first part", "though it hardly ever lasts this long", "as long as the weather stays dry"),
    {
        "quiet": (("in the quiet air", "with quiet resolve", "after a quiet night"), ("quietly", "more quietly than before")),
        "silver": (("in silver light", "under a silver sky", "like a silver thread"), ("in silvery light", "like silverware")),
        "familiar": (("in the familiar order", "like a familiar song", "in a familiar way"), ("with real familiarity", "in an unfamiliar way")),
        "calm": (("in perfect calm", "with a calm that lasts", "in the calm of the hour"), ("calmly", "in a calmer mood")),
        "shadow": (("in the shadow of a wall", "like a shadow", "without casting a shadow"), ("among long shadows", "in a shadowy place")),
        "whisper": (("in a whisper", "like a faint whisper", "with hardly a whisper"), ("amid whispers", "in a whispered hush")),
        "honest": (("in an honest manner", "for an honest reason", "with honest effort"), ("honestly", "out of honesty")),
        "gentle": (("in a gentle breeze", "with a gentle touch", "at a gentle pace"), ("with gentleness", "like gentlemen")),
        "memory": (("like a faded memory", "from memory", "as a memory for later"), ("like old memories", "in a memorable way")),
        "promise": (("like a promise", "as part of a promise", "with the promise of more"), ("as promised", "despite all promises")),
        "bright": (("in bright colours", "under bright lamps", "on a bright morning"), ("brightly", "in a brighter mood")),
        "humble": (("in a humble way", "with humble pride", "like a humble guest"), ("humbly", "with humbled looks")),
        "puzzle": (("like a puzzle", "as part of a puzzle", "with a puzzle to solve"), ("with puzzled faces", "like old puzzles")),
        "velvet": (("as soft as velvet", "in a velvet dusk", "like velvet on skin"), ("in velvety air", "among velvets")),
        "journey": (("on a long journey", "like a journey home", "at the start of a journey"), ("after many journeys", "while journeying")),
        "mirror": (("as in a mirror", "like a mirror image", "before a dusty mirror"), ("as if mirrored", "between two mirrors")),
        "story": (("like a story", "as in a bedtime story", "to finish the story"), ("as in old stories", "like a storybook")),
        "courage": (("with courage", "to show some courage", "with all the courage left"), ("courageously", "in a courageous mood")),
        "simple": (("in a simple way", "for a simple reason", "with simple means"), ("with simplicity", "in simpler ways")),
        "summer": (("as in summer", "on a summer evening", "all summer long"), ("as in past summers", "in summery warmth")),
        "music": (("to soft music", "like music", "with music in the air"), ("musically", "like musicians")),
        "marble": (("on cold marble", "like marble", "beside a marble statue"), ("with marbled edges", "like marbles")),
        "copper": (("like copper wire", "in a copper glow", "under copper roofs"), ("in coppery tones", "like old coppers")),
        "candle": (("by candle light", "like a candle", "beside a lit candle"), ("by candlelight", "among tall candles")),
        "ribbon": (("like a ribbon", "with a ribbon on top", "along a ribbon of road"), ("among ribbons", "like ribboned gifts")),
        "hidden": (("in a hidden corner", "hidden from view", "like a hidden door"), ("in hiding", "to hide from us")),
        "season": (("for the whole season", "at the height of the season", "late in the season"), ("over many seasons", "in seasonal style")),
        "feather": (("as light as a feather", "like a feather", "with a feather touch"), ("like feathers", "with feathered edges")),
        "curious": (("in a curious way", "with curious eyes", "for a curious crowd"), ("curiously", "out of curiosity")),
        "treasure": (("like a treasure", "as if it were treasure", "in search of treasure"), ("among treasures", "like treasured gifts")),
        "stubborn": (("like a stubborn mule", "with stubborn pride", "in a stubborn mood"), ("stubbornly", "out of stubbornness")),
        "balance": (("in perfect balance", "to keep the balance", "for the sake of balance"), ("in a balanced way", "while balancing")),
        "fortune": (("by good fortune", "as fortune wills", "like a small fortune"), ("fortunately", "despite past fortunes")),
        "crystal": (("as clear as crystal", "like crystal", "in crystal air"), ("like crystals", "in crystalline air")),
        "wonder": (("in wonder", "with a sense of wonder", "as no small wonder"), ("wonderingly", "among many wonders")),
        "thunder": (("like thunder", "with a noise like thunder", "amid distant thunder"), ("thunderously", "with a thundering noise")),
        "garlic": (("with a hint of garlic", "in a smell of garlic", "like garlic in butter"), ("in garlicky air", "like garlics")),
        "freedom": (("in full freedom", "with newfound freedom", "like freedom itself"), ("freely", "despite lost freedoms")),
    },
    {
        "very": ("with very little fuss", "very slowly", "at a very relaxed pace"),
        "always": ("as always", "as always before"),
        "beautiful": ("on this beautiful day", "in beautiful weather"),
        "suddenly": ("suddenly", "and suddenly no more"),
        "perfectly": ("perfectly", "as it perfectly well may"),
        "amazing": ("in an amazing way", "with amazing ease"),
        "thing": ("for one thing", "like the real thing"),
        "obviously": ("obviously", "and obviously on time"),
        "literally": ("literally", "quite literally so"),
        "never": ("as never before", "as if it could never end"),
        "lovely": ("in a lovely manner", "on a lovely morning"),
        "simply": ("simply", "simply because it must"),
        "wonderful": ("in a wonderful mood", "with wonderful skill"),
        "basically": ("basically", "basically for free"),
        "finally": ("finally", "and finally in order"),
        "special": ("in a special way", "for a special reason"),
        "totally": ("totally by chance", "in a totally new way"),
        "maybe": ("or maybe not", "for maybe an hour"),
        "interesting": ("in an interesting way", "with interesting results"),
        "clearly": ("clearly", "as is clearly intended"),
    },
    ("Write a short text about {s}.", "Please write a few lines about {s}.", "I need a little piece of writing about {s}.",
     "Topic: {s}.", "Describe {s} in a few sentences or lines.", "Can you write something short about {s}?", "Draft a brief description of {s}.",
     "Produce a small text on the theme of {s}.", "My newsletter needs a snippet about {s}.", "Task: a miniature about {s}.",
     "We are collecting impressions of {s}. Add one.", "What does {s} look like? Tell us in a short text.", "Subject of the text: {s}.",
     "You are a copywriter. The client wants a short text about {s}.", "Think of {s} and put your impressions into words.",
     "For a school magazine I want a short sketch of {s}.", "Paint a quick picture of {s} with words.", "Your assignment is {s}, described briefly.",
     "Hi! Would you mind writing a little something about {s}?", "Short text wanted: {s}."),
    {
        "sentences": ("Write {v} sentences; the number has to be exact.", "It has {v} sentences, no more and no fewer.", "Number of sentences: {v}.", "Length: {v} sentences.",
                      "Can you say it in {v} sentences?", "{v} sentences, not one more or less.", "The reply should be made up of {v} sentences.",
                      "Please keep to {v} full sentences.", "= {v} sentences", "I want to count {v} sentences when I read it."),
        "bullets": ("Write it as exactly {v} bullet points, each on a line that starts with a hyphen.", "Make it a list of exactly {v} lines, each starting with \"- \".",
                    "Layout: {v} lines, every one opening with \"- \".", "Use a bulleted list (hyphens) of {v} entries and nothing else.",
                    "A dash list with {v} entries is what I want.", "Can it be a bullet list with {v} items, using \"-\" as the bullet?",
                    "Present it as {v} bullets. Put \"- \" before each.", "The answer is to be given in {v} hyphenated bullets.", "{v} bullets (\"- …\"), one per line",
                    "List style: dashes. Entries: {v}."),
        "numbered": ("Number the lines from 1. to {v}. and write nothing outside the list.", "Write {v} items, numbered \"1.\", \"2.\" and so on, each on a new line.",
                     "Make an ordered list of {v} entries.", "Layout: ordered list, {v} lines, each with its number and a dot.", "Can you arrange it as a list numbered 1. to {v}.?",
                     "The lines are to be numbered, {v} in all.", "{v} numbered points, please, and no other text.", "List style: numbers with a full stop. Entries: {v}.",
                     "Please count your points off: 1., 2., up to {v}.", "numbered list, {v} lines"),
        "acrostic": ("Make it an acrostic: the first letters of its lines, from top to bottom, spell {v}.", "The initial letters of the lines should read {v} downwards.",
                     "Layout: an acrostic on {v}, one line for each letter.", "Write one line per letter of {v}, each starting with that letter.", "Acrostic: {v}",
                     "Can the first letters of the lines spell out {v}?", "Line by line, the opening letters form the word {v}.", "Please hide {v} in the first letters of the lines.",
                     "The lines begin, in order, with the letters of {v}.", "Reading down the left edge must give {v}."),
        "most": ("Use at most {v} words.", "Stay within {v} words.", "Length: {v} words or fewer.", "Upper limit: {v} words.", "≤ {v} words", "Can you keep it to {v} words at the most?",
                 "{v} words is the maximum.", "Do not go over {v} words.", "Please don't write more than {v} words.", "The text may be up to {v} words long.",
                 "Anything above {v} words is too long."),
        "least": ("Use at least {v} words.", "Write no fewer than {v} words.", "Length: {v} words or more.", "Lower limit: {v} words.", "≥ {v} words", "Can you make it {v} words or longer?",
                  "{v} words is the minimum.", "Do not stop short of {v} words.", "Please write {v} words or more.", "The text should be {v} words long or longer.",
                  "Anything below {v} words is too short."),
        "between": ("Use between {v[0]} and {v[1]} words.", "Length: {v[0]} to {v[1]} words.", "{v[0]}–{v[1]} words", "Write at least {v[0]} and at most {v[1]} words.",
                    "Can you stay between {v[0]} and {v[1]} words?", "Minimum {v[0]} words, maximum {v[1]}.", "The length should fall in the range of {v[0]}-{v[1]} words.",
                    "Please aim for no less than {v[0]} and no more than {v[1]} words.", "From {v[0]} up to {v[1]} words are allowed.", "Not under {v[0]} words, not over {v[1]}."),
        "each": ("Keep every sentence to {v} words or fewer.", "Maximum length of a sentence: {v} words.", "Short sentences: none above {v} words.", "Can each sentence stay within {v} words?",
                 "Sentences of more than {v} words are not allowed.", "Every single sentence has {v} words at most.", "≤ {v} words per sentence",
                 "Please split up any sentence that runs past {v} words.", "Do not let a sentence grow beyond {v} words.", "A sentence may have up to {v} words."),
        "word": ("Use the word \"{v}\".", "The word \"{v}\" must appear.", "Required word: {v}.", "Include \"{v}\" as it stands, not a related word.", "Can you work in the word \"{v}\"?",
                 "Must contain: \"{v}\"", "I'd like to see the exact word \"{v}\" in it.", "\"{v}\" should be among the words used.", "Please fit in \"{v}\", unchanged.",
                 "Without the word \"{v}\" the text is not complete.", "Keyword: {v} (this form)"),
        "twice": ("Use the word \"{v}\" two times, neither more nor less.", "Repeat \"{v}\" once: it should be there two times.", "Required word: {v} (2x).", "Can you use \"{v}\" exactly two times?",
                  "\"{v}\" is to be used twice, unchanged.", "Number of times \"{v}\" appears: 2.", "Please work in the word \"{v}\" two times.", "I want to find \"{v}\" in two places, not one and not three.",
                  "Include two instances of the word \"{v}\".", "exactly 2 x \"{v}\""),
        "avoid": ("Do not use the word \"{v}\".", "Banned word: {v}.", "The word \"{v}\" must not appear.", "Can you do without the word \"{v}\"?", "Leave out \"{v}\".",
                  "Never write \"{v}\".", "Please stay away from the word \"{v}\".", "\"{v}\" is not allowed.", "no \"{v}\"", "Must not contain: \"{v}\"", "I don't want to read \"{v}\" in it."),
        "comma": ("Do not use any commas.", "Write it without commas.", "Punctuation: anything but commas.", "Can you avoid commas altogether?", "Commas are forbidden.", "Zero commas", "Please leave out all commas.",
                  "The comma is not to be used.", "Do it without a single comma.", "Number of commas: 0."),
        "exclaim": ("End with an exclamation mark.", "The text finishes with \"!\".", "Last character: \"!\".", "Can it close with an exclamation mark?", "Put an exclamation mark at the end.",
                    "Please let the last sentence end in \"!\".", "Final punctuation: an exclamation mark.", "ends in !", "It should conclude with an exclamation mark.", "Finish on an exclamation."),
        "start": ("Begin with the word \"{v}\".", "Let the first word be \"{v}\".", "First word: {v}.", "Can the text open with \"{v}\"?", "The text starts with \"{v}\".", "Please start off with \"{v}\".",
                  "\"{v}\" comes before every other word.", "Nothing may stand before the word \"{v}\".", "starts: {v} …", "Use \"{v}\" as the beginning."),
        "end": ("Finish with the word \"{v}\".", "Let the last word be \"{v}\".", "Last word: {v}.", "Can the text close on \"{v}\"?", "The text ends with \"{v}\".", "Please stop at the word \"{v}\".",
                "\"{v}\" comes after every other word.", "No word may follow \"{v}\", which stands at the end.", "ends: … {v}", "Use \"{v}\" as the final word."),
        "lower": ("Use lower-case letters only.", "Write everything in lower case.", "Case: lower.", "No capital letters.", "Can you do it without capitals?", "Upper-case letters must not be used.",
                  "Please type it all in small letters.", "Even names and sentence openings stay in lower case.", "all lowercase", "Number of capital letters: 0."),
        "quoted": ("Put the whole text in double quotation marks, from the first word to the last.", "Wrap the answer in double quotes.", "The text opens and closes with a double quotation mark.",
                   "Can you put double quotes around all of it?", "Enclose everything between \" and \".", "First and last character: a double quotation mark.",
                   "Please set the text in double quotes, like speech.", "The entire text is quoted (\"…\").", "in double quotes", "A double quotation mark stands on either side of the text."),
        "number": ("Mention the year {v} in digits.", "Name the year {v}, written in digits.", "Required year: {v}.", "Can you bring in the year {v}?", "The year {v} must be mentioned.",
                   "Please refer to {v} (the year, as a number).", "Include {v} as a date.", "There has to be a reference to {v}.", "year: {v}", "The figure {v} should turn up in it."),
        "title": ("Put a title in capitals on the first line.", "Start with a headline written in upper case on its own line.", "Heading: yes, ALL CAPS, on a separate line at the top.",
                  "Can you add a heading in block capitals above it?", "The first line is a title, all upper case.", "Please give it an upper-case title, followed by the text.", "title line in CAPS first",
                  "A headline in capitals comes before the rest.", "Open with a line that holds only a title IN CAPITALS.", "Top it with a capitalised (all letters) title."),
        "question": ("Ask one question, and only one.", "Include a single question.", "Number of question marks: 1.", "Can you ask the reader just one thing?", "One question mark has to be used, not two.",
                     "Please put one question into it.", "Exactly one \"?\"", "The text asks something once.", "There is to be one question mark in all.", "A question should come up, but no second one."),
    },
    ("is there a better place to be?", "who could ever forget that?", "why does nobody write about it?", "what happens after that?", "where does the time go?",
     "does anyone still keep track?", "would you change any of it?", "how did it come to this?", "is that not enough?", "who knows what comes next?",
     "can you hear it too?", "have you ever stopped to look?", "what else would you expect?", "when did we last see that?", "isn't that how it goes?",
     "should we stay a little longer?", "do you know the feeling?"),
    ends={
        "tomorrow": ("ready for tomorrow", "ready for the next day"), "alone": ("and all alone", "and all by itself"), "morning": ("until the next morning", "until the next sunrise"),
        "bed": ("off to bed", "off to sleep"), "street": ("across the street", "across the yard"), "future": ("in the near future", "in the years ahead"),
        "time": ("for the last time", "for the last round"), "clock": ("around the clock", "around the block"), "world": ("far from the world", "far from the crowd"),
        "sun": ("under a pale sun", "under a pale sky"), "heart": ("with a light heart", "with a light step"), "week": ("for the rest of the week", "for the rest of the month"),
        "winter": ("in time for winter", "in time for spring"), "ground": ("close to the ground", "close to the floor"), "dark": ("alone in the dark", "alone in the gloom"),
        "friends": ("as among friends", "as among neighbours"), "life": ("as in real life", "as in real films"), "slowly": ("ever so slowly", "ever so lazily"),
        "once": ("all of it at once", "all of it together"), "years": ("for the first time in years", "for the first time in ages"), "smile": ("with a tired smile", "with a tired grin"),
        "town": ("all over town", "all over the place"), "weather": ("in any weather", "in any light"), "nowhere": ("on the road to nowhere", "on the road to somewhere"),
        "work": ("in the middle of work", "in the middle of play"), "long": ("all day long", "all day through"),
    },
    starts=("Today", "Sometimes", "Meanwhile", "Usually", "Nowadays", "Lately", "Outside", "Everywhere", "Eventually", "Later",
            "Slowly", "Gradually", "Perhaps", "Still", "Soon", "There", "Indeed", "Again", "Occasionally", "Somewhere"),
    acrostics=("RAIN", "MOON", "SALT", "TIDE", "LAMP", "HOPE", "ROADS", "STONE", "SNOW", "BIRD", "LEAF", "WIND", "GOLD", "FIRE", "ROSE", "HAND",
               "BREAD", "CLOUD", "DREAM", "EARTH", "FIELD", "GHOST", "HOUSE", "LIGHT", "NIGHT", "OCEAN", "PLANT", "RIVER", "SMILE", "TRAIN",
               "WATER", "BEACH", "CANDY", "HONEY", "COAST", "BOAT", "TREE", "WOLF", "GATE", "CORN"),
    listings=(
        "{lead} The requirements, in order of weight:\n{listed}", "{lead}\n{listed}", "{lead}\n\nRequirements:\n{listed}",
        "{lead} Please follow these rules; the earlier ones matter more:\n{listed}", "{lead}\n\nWhat counts, from most to least important:\n{listed}",
        "{lead} Conditions:\n\n{listed}", "{lead} Make sure that you respect all of this:\n{listed}", "Rules for the text (highest priority first):\n{listed}\n\n{lead}",
        "{lead}\n\n## Constraints\n\n{listed}", "{lead} It will be checked for the following, top to bottom:\n{listed}",
    ),
    markers=("{k}.", "{k})", "({k})", "-", "{k}.", "*"),
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
    ends={
        "again": ("again and again", "once more"), "home": ("on the way home", "on the way back"),
        "night": ("deep into the night", "deep into the evening"),
    },
    starts=("Often", "Tonight"),
    acrostics=("RAIN", "MOON", "SALT", "TIDE", "LAMP", "HOPE", "ROADS", "STONE"),
    listings=("{lead} The requirements, the most important first:\n{listed}",),
    markers=("{k}.",),
)  # fmt: skip

YEARS = (1923, 1948, 1956, 1967, 1974, 1989, 1998, 2003, 2012)
