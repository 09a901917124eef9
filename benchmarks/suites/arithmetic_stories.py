"""The stories of the arithmetic suite."""

from __future__ import annotations

from dataclasses import dataclass

Operand = str | int  # a given quantity's name, "#k" for what step k finds (from 1), or a constant


@dataclass(frozen=True, slots=True)
class Step:
    """One calculation: what it finds, and how."""

    what: str
    op: str
    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class Story:
    """A word problem with quantities to be drawn.

    Attributes:
        text: the problem; `{name}` stands for a person, other slots for quantities.
        ranges: from, to and step of each quantity.
        unit: of the answer; "$" stands before it, anything else after.
        nudged: a quantity that may be changed by a little, so that the last division comes out even; with a
            "-" before it, one that the dividend falls with.
    """

    name: str
    text: str
    ranges: dict[str, tuple[int, int, int]]
    steps: tuple[Step, ...]
    unit: str
    nudged: str = ""


S = Step
TRAINING = (
    Story(
        "cups",
        "{name} runs a kitchen shop. A delivery brings {boxes} boxes with {each} cups in each. {broken} cups arrive "
        "broken and are thrown away, and the rest are sold for ${price} apiece. The delivery cost ${cost} in all. "
        "How much profit does {name} make once every whole cup is sold?",
        {"boxes": (12, 39, 1), "each": (6, 24, 1), "broken": (7, 38, 1), "price": (3, 9, 1), "cost": (90, 260, 5)},
        (S("the number of cups delivered", "*", "boxes", "each"), S("the number of whole cups", "-", "#1", "broken"),
         S("the money from the sale", "*", "#2", "price"), S("the profit", "-", "#3", "cost")),
        "$",
    ),
    Story(
        "reading",
        "{name} wants to finish a novel of {pages} pages. On each of the first {days} days {name} reads {per} pages, "
        "and over the weekend another {weekend} pages. The rest is to be read at {rate} pages an hour. How many "
        "minutes of reading are left?",
        {"pages": (420, 780, 10), "days": (4, 9, 1), "per": (18, 37, 1), "weekend": (25, 95, 5), "rate": (20, 40, 10)},
        (S("the number of pages read on the first days", "*", "days", "per"),
         S("the number of pages read so far", "+", "#1", "weekend"),
         S("the number of pages left", "-", "pages", "#2"), S("the number of minutes for all of them at one page an hour", "*", "#3", 60),
         S("the reading time left in minutes", "/", "#4", "rate")),
        "minutes",
    ),
    Story(
        "orchard",
        "An orchard has {rows} rows of {trees} apple trees. This year each tree gave {kilos} kilograms of apples. "
        "{juice} kilograms went to the juice press, and the rest was packed in crates that hold {crate} kilograms each. "
        "A crate sells for ${price}. How much money do the crates bring?",
        {"rows": (8, 26, 2), "trees": (12, 30, 2), "kilos": (20, 48, 4), "juice": (240, 960, 20), "crate": (8, 20, 4),
         "price": (11, 27, 1)},
        (S("the number of trees", "*", "rows", "trees"), S("the harvest in kilograms", "*", "#1", "kilos"),
         S("the weight left for the crates", "-", "#2", "juice"), S("the number of crates", "/", "#3", "crate"),
         S("the money from the crates", "*", "#4", "price")),
        "$",
        "-juice",
    ),
    Story(
        "cinema",
        "A cinema sold {adults} adult tickets at ${adult} and {children} child tickets at ${child} on Saturday. Renting "
        "the film cost ${film}, and what was left was shared equally among {staff} volunteers. How much did each "
        "volunteer get?",
        {"adults": (45, 160, 5), "adult": (9, 16, 1), "children": (30, 95, 5), "child": (4, 8, 1), "film": (150, 420, 10),
         "staff": (3, 6, 1)},
        (S("the income from adult tickets", "*", "adults", "adult"), S("the income from child tickets", "*", "children", "child"),
         S("the total income", "+", "#1", "#2"), S("the money left after the film is paid", "-", "#3", "film"),
         S("the share of each volunteer", "/", "#4", "staff")),
        "$",
        "-film",
    ),
    Story(
        "commute",
        "{name} cycles to work and back on {days} days a week, and each way is {way} kilometres. On Sundays {name} adds a "
        "tour of {tour} kilometres. The chain should be oiled after every {oil} kilometres. {name} keeps this up for {weeks} "
        "weeks. How many times is the chain oiled?",
        {"days": (3, 5, 1), "way": (6, 19, 1), "tour": (24, 68, 4), "oil": (60, 160, 20), "weeks": (10, 40, 5)},
        (S("the distance of one day's commute", "*", "way", 2), S("the distance of a week's commute", "*", "#1", "days"),
         S("the distance of a whole week", "+", "#2", "tour"), S("the distance over all the weeks", "*", "#3", "weeks"),
         S("the number of oilings", "/", "#4", "oil")),
        "times",
    ),
    Story(
        "bakery",
        "A bakery bakes {trays} trays of {rolls} rolls every morning. It sells {morning} rolls before noon and {later} rolls "
        "after noon, and puts what is left into bags of {bag}. How many bags does it fill?",
        {"trays": (9, 24, 1), "rolls": (18, 36, 2), "morning": (85, 190, 5), "later": (40, 98, 2), "bag": (4, 8, 1)},
        (S("the number of rolls baked", "*", "trays", "rolls"), S("the number of rolls sold", "+", "morning", "later"),
         S("the number of rolls left", "-", "#1", "#2"), S("the number of bags", "/", "#3", "bag")),
        "bags",
        "-later",
    ),
    Story(
        "savings",
        "{name} has saved ${start} for a laptop that costs ${price}. Every week {name} earns ${earned} by walking dogs and spends "
        "${spent} of it on lunch. How many weeks must {name} keep saving?",
        {"start": (85, 340, 5), "price": (560, 1480, 10), "earned": (48, 96, 2), "spent": (12, 33, 1)},
        (S("the amount still missing", "-", "price", "start"), S("the amount saved in a week", "-", "earned", "spent"),
         S("the number of weeks", "/", "#1", "#2")),
        "weeks",
        "price",
    ),
    Story(
        "printing",
        "A school prints {copies} copies of a yearbook of {pages} pages, two pages to a sheet. Paper comes in packs of {pack} "
        "sheets, {spare} packs are still in the cupboard, and a new pack costs ${price}. How much does the school have to "
        "spend on paper?",
        {"copies": (80, 260, 10), "pages": (48, 120, 4), "pack": (200, 500, 100), "spare": (2, 9, 1), "price": (4, 9, 1)},
        (S("the number of sheets in one copy", "/", "pages", 2), S("the number of sheets in all", "*", "#1", "copies"),
         S("the number of packs needed", "/", "#2", "pack"), S("the number of packs to buy", "-", "#3", "spare"),
         S("the cost of the paper", "*", "#4", "price")),
        "$",
    ),
    Story(
        "pool",
        "A pool holds {full} litres and already has {there} litres in it. One hose brings {first} litres a minute and another "
        "{second} litres a minute, but {leak} litres a minute leak away. After how many minutes is the pool full?",
        {"full": (9000, 24000, 200), "there": (800, 4200, 200), "first": (35, 88, 1), "second": (24, 61, 1), "leak": (4, 19, 1)},
        (S("the amount of water still missing", "-", "full", "there"), S("the inflow per minute", "+", "first", "second"),
         S("the net inflow per minute", "-", "#2", "leak"), S("the time in minutes", "/", "#1", "#3")),
        "minutes",
        "full",
    ),
    Story(
        "choir",
        "A choir of {singers} people travels to a contest. A train ticket costs ${train} a person, and every {room} singers "
        "share a hotel room at ${night} a night for {nights} nights. The town pays ${grant} of it. What does the choir have "
        "to pay in all?",
        {"singers": (24, 72, 4), "train": (23, 58, 1), "room": (2, 4, 1), "night": (64, 118, 2), "nights": (2, 4, 1),
         "grant": (300, 900, 25)},
        (S("the cost of the tickets", "*", "singers", "train"), S("the number of rooms", "/", "singers", "room"),
         S("the cost of the rooms for one night", "*", "#2", "night"), S("the cost of the hotel", "*", "#3", "nights"),
         S("the cost of the whole trip", "+", "#1", "#4"), S("the amount the choir pays", "-", "#5", "grant")),
        "$",
    ),
)  # fmt: skip

HELD_OUT = (
    Story(
        "ferry",
        "The car ferry that {name} steers makes {trips} crossings a day with room for {cars} cars. Last week it ran on {days} days, "
        "but {empty} places stayed empty over the whole week. Each car pays ${fare}. What did the ferry take in that week?",
        {"trips": (6, 14, 1), "cars": (18, 42, 2), "days": (4, 7, 1), "empty": (65, 290, 5), "fare": (12, 28, 1)},
        (S("the number of places in a day", "*", "trips", "cars"), S("the number of places in the week", "*", "#1", "days"),
         S("the number of cars carried", "-", "#2", "empty"), S("the revenue of the week", "*", "#3", "fare")),
        "$",
    ),
    Story(
        "wool",
        "{name} knits blankets. One blanket takes {balls} balls of wool, and a ball costs ${ball}. At the craft fair {name} sells "
        "{sold} blankets for ${price} each and pays ${stall} for the stall. What is left in the end?",
        {"balls": (7, 16, 1), "ball": (3, 6, 1), "sold": (13, 36, 1), "price": (74, 139, 1), "stall": (45, 160, 5)},
        (S("the cost of the wool for one blanket", "*", "balls", "ball"), S("the gain on one blanket", "-", "price", "#1"),
         S("the gain on all the blankets", "*", "#2", "sold"), S("the amount left after the stall is paid", "-", "#3", "stall")),
        "$",
    ),
    Story(
        "satellite",
        "A weather satellite takes {photos} pictures on each orbit and completes {orbits} orbits a day. A picture takes up {size} "
        "megabytes. Ground stations collect {down} megabytes a day, and the rest is stored on board, where {room} megabytes are "
        "free. After how many days is the memory full?",
        {"photos": (14, 38, 2), "orbits": (12, 16, 1), "size": (6, 18, 2), "down": (900, 1300, 20), "room": (6000, 40000, 400)},
        (S("the number of pictures in a day", "*", "photos", "orbits"), S("the amount of data in a day", "*", "#1", "size"),
         S("the amount of data kept on board in a day", "-", "#2", "down"), S("the number of days", "/", "room", "#3")),
        "days",
        "room",
    ),
    Story(
        "mosaic",
        "A wall of {wide} centimetres by {high} centimetres gets a mosaic of square tiles with sides of {side} centimetres. "
        "{name} lays {rate} tiles an hour and has already worked for {done} hours. How many hours of work remain?",
        {"wide": (240, 720, 40), "high": (120, 360, 40), "side": (4, 8, 4), "rate": (30, 90, 15), "done": (4, 15, 1)},
        (S("the number of tiles in a row", "/", "wide", "side"), S("the number of rows", "/", "high", "side"),
         S("the number of tiles on the wall", "*", "#1", "#2"), S("the number of hours for the whole wall", "/", "#3", "rate"),
         S("the number of hours that remain", "-", "#4", "done")),
        "hours",
    ),
    Story(
        "museum",
        "A museum opens {hours} hours a day and lets in {per} visitors every hour. Of a day's visitors, {members} are members and "
        "pay nothing; all others pay ${fee}. In addition the café earns ${cafe} a day, and running the house costs ${cost} a day. "
        "How much does the museum gain in {days} such days?",
        {"hours": (6, 10, 1), "per": (34, 78, 2), "members": (45, 160, 1), "fee": (8, 15, 1), "cafe": (240, 690, 10),
         "cost": (900, 1500, 20), "days": (3, 12, 1)},
        (S("the number of visitors in a day", "*", "hours", "per"), S("the number of paying visitors", "-", "#1", "members"),
         S("the income from tickets in a day", "*", "#2", "fee"), S("the income of a day with the café", "+", "#3", "cafe"),
         S("the gain of one day", "-", "#4", "cost"), S("the gain over all the days", "*", "#5", "days")),
        "$",
    ),
    Story(
        "turbines",
        "A wind farm has {big} large turbines of {strong} kilowatts and {small} small ones of {weak} kilowatts. On a windy day all "
        "of them run at full power for {hours} hours, and the farm's own machines use {own} kilowatt-hours. A household needs "
        "{need} kilowatt-hours a day. How many households does the farm supply?",
        {"big": (8, 22, 2), "strong": (240, 480, 20), "small": (6, 18, 2), "weak": (60, 140, 20), "hours": (6, 18, 2),
         "own": (800, 2400, 100), "need": (8, 20, 4)},
        (S("the power of the large turbines", "*", "big", "strong"), S("the power of the small turbines", "*", "small", "weak"),
         S("the total power", "+", "#1", "#2"), S("the energy made in the day", "*", "#3", "hours"),
         S("the energy left to supply", "-", "#4", "own"), S("the number of households", "/", "#5", "need")),
        "households",
        "-own",
    ),
    Story(
        "relay",
        "For a charity run, {teams} teams of {runners} runners each enter. Every runner does {laps} laps of {lap} metres. A sponsor "
        "pays ${per} for every full kilometre that all runners cover together. How much does the sponsor pay?",
        {"teams": (8, 24, 1), "runners": (4, 10, 1), "laps": (5, 15, 1), "lap": (400, 800, 100), "per": (3, 8, 1)},
        (S("the number of runners", "*", "teams", "runners"), S("the number of laps in all", "*", "#1", "laps"),
         S("the distance in metres", "*", "#2", "lap"), S("the distance in kilometres", "/", "#3", 1000),
         S("the amount the sponsor pays", "*", "#4", "per")),
        "$",
    ),
    Story(
        "aquarium",
        "An aquarium feeds {seals} seals with {fish} kilograms of fish each and {penguins} penguins with {small} kilograms each, every "
        "day. Fish costs ${price} a kilogram. The yearly budget for fish is ${budget}, and ${used} of it has been spent. For "
        "how many more days does the money last?",
        {"seals": (5, 14, 1), "fish": (4, 9, 1), "penguins": (12, 40, 1), "small": (1, 3, 1), "price": (4, 9, 1),
         "budget": (60000, 140000, 2000), "used": (8000, 36000, 500)},
        (S("the weight of fish for the seals in a day", "*", "seals", "fish"),
         S("the weight of fish for the penguins in a day", "*", "penguins", "small"), S("the weight of fish in a day", "+", "#1", "#2"),
         S("the cost of the fish in a day", "*", "#3", "price"), S("the money left in the budget", "-", "budget", "used"),
         S("the number of days", "/", "#5", "#4")),
        "days",
        "-used",
    ),
    Story(
        "workshop",
        "In a repair workshop {name} needs {each} minutes for a lamp, with {break} minutes of rest after every lamp. {name} "
        "works {hours} hours a day and charges ${fee} a lamp. Renting the workshop costs ${rent} a day. What does {name} earn "
        "in a day after rent?",
        {"each": (18, 52, 1), "break": (2, 8, 1), "hours": (5, 9, 1), "fee": (14, 36, 1), "rent": (35, 95, 5)},
        (S("the time for one lamp with its rest", "+", "each", "break"), S("the working day in minutes", "*", "hours", 60),
         S("the number of lamps in a day", "/", "#2", "#1"), S("the income of a day", "*", "#3", "fee"),
         S("the profit after rent", "-", "#4", "rent")),
        "$",
    ),
    Story(
        "archive",
        "An archive has {shelves} shelves with {boxes} boxes on each, and {letters} letters in every box. {done} letters have "
        "been scanned already. {people} people scan {rate} letters a day each. In how many days will they be done?",
        {"shelves": (8, 24, 2), "boxes": (10, 28, 2), "letters": (40, 90, 10), "done": (1200, 4800, 100), "people": (3, 8, 1),
         "rate": (80, 160, 20)},
        (S("the number of boxes", "*", "shelves", "boxes"), S("the number of letters", "*", "#1", "letters"),
         S("the number of letters left to scan", "-", "#2", "done"), S("the number of letters scanned in a day", "*", "people", "rate"),
         S("the number of days", "/", "#3", "#4")),
        "days",
        "-done",
    ),
)  # fmt: skip
