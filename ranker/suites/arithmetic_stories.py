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
    Story(
        "honey",
        "A beekeeper gets {kilos} kilograms of honey from each of {hives} hives and fills it into jars of {jar} grams. {gift} jars "
        "are given to neighbours, and every other jar is sold for ${price}. How much money does the honey bring?",
        {"kilos": (8, 24, 1), "hives": (5, 18, 1), "jar": (250, 500, 250), "gift": (6, 28, 1), "price": (4, 9, 1)},
        (S("the harvest of all the hives in kilograms", "*", "kilos", "hives"), S("the honey in grams", "*", "#1", 1000),
         S("the number of jars filled", "/", "#2", "jar"), S("the number of jars for sale", "-", "#3", "gift"),
         S("the money from the honey", "*", "#4", "price")),
        "$",
    ),
    Story(
        "taxi",
        "{name} drives a taxi and makes {rides} rides a day of {km} kilometres on average. The car burns {litres} litres of petrol "
        "for every 100 kilometres, and a litre costs ${price}. What does {name} spend on petrol in {days} days?",
        {"rides": (10, 24, 2), "km": (5, 20, 5), "litres": (6, 11, 1), "price": (2, 4, 1), "days": (5, 30, 5)},
        (S("the distance driven in a day", "*", "rides", "km"), S("the distance driven in all", "*", "#1", "days"),
         S("the number of hundreds of kilometres", "/", "#2", 100), S("the petrol burnt in litres", "*", "#3", "litres"),
         S("the money spent on petrol", "*", "#4", "price")),
        "$",
    ),
    Story(
        "animation",
        "A cartoon of {minutes} minutes needs {frames} drawings for every second. {done} drawings are finished. {artists} artists "
        "make {rate} drawings a day each. How many days will the rest of the drawings take?",
        {"minutes": (4, 18, 1), "frames": (8, 24, 4), "done": (350, 1600, 50), "artists": (3, 9, 1), "rate": (12, 30, 2)},
        (S("the length of the cartoon in seconds", "*", "minutes", 60), S("the number of drawings needed", "*", "#1", "frames"),
         S("the number of drawings still to make", "-", "#2", "done"), S("the number of drawings made in a day", "*", "artists", "rate"),
         S("the number of days of drawing", "/", "#3", "#4")),
        "days",
        "-done",
    ),
    Story(
        "parking",
        "A car park has {floors} floors of {spaces} spaces. {shop} spaces are kept for the shop next door and bring nothing. All "
        "others are let for ${fee} a month. How much rent does the car park bring in a year?",
        {"floors": (3, 8, 1), "spaces": (36, 95, 1), "shop": (14, 60, 2), "fee": (45, 110, 5)},
        (S("the number of spaces in the car park", "*", "floors", "spaces"), S("the number of spaces that are let", "-", "#1", "shop"),
         S("the rent of one month", "*", "#2", "fee"), S("the rent of a year", "*", "#3", 12)),
        "$",
    ),
    Story(
        "potatoes",
        "{name} digs up {tonnes} tonnes of potatoes. {seed} kilograms are kept for planting. The rest goes into sacks of {sack} "
        "kilograms, and a sack is sold for ${price}. What do the sacks bring in?",
        {"tonnes": (3, 14, 1), "seed": (220, 880, 20), "sack": (15, 50, 5), "price": (12, 28, 1)},
        (S("the weight of the potatoes in kilograms", "*", "tonnes", 1000), S("the weight for sale", "-", "#1", "seed"),
         S("the number of sacks", "/", "#2", "sack"), S("the money from the sacks", "*", "#3", "price")),
        "$",
        "-seed",
    ),
    Story(
        "zoo_trip",
        "A class of {pupils} pupils goes to the zoo with {adults} adults. Entry costs ${entry} a person, and the coach costs ${coach} for "
        "everyone together. The parents' club gives ${gift}. The {pupils} pupils share the remaining cost equally. How much does each "
        "pupil pay?",
        {"pupils": (18, 32, 1), "adults": (2, 5, 1), "entry": (8, 19, 1), "coach": (280, 640, 10), "gift": (60, 190, 5)},
        (S("the number of people on the trip", "+", "pupils", "adults"), S("the cost of entry for all", "*", "#1", "entry"),
         S("the cost with the coach", "+", "#2", "coach"), S("the cost left to the pupils", "-", "#3", "gift"),
         S("the cost for each pupil", "/", "#4", "pupils")),
        "$",
        "coach",
    ),
    Story(
        "fence",
        "{name} paints both sides of a fence that is {long} metres long and {high} metres high. One litre of paint is enough for "
        "{cover} square metres, and a litre costs ${price}. {name} has a voucher for ${voucher}. How much is left to pay for the paint?",
        {"long": (24, 96, 4), "high": (2, 4, 1), "cover": (4, 8, 2), "price": (7, 18, 1), "voucher": (10, 60, 5)},
        (S("the area of one side of the fence", "*", "long", "high"), S("the area of both sides", "*", "#1", 2),
         S("the number of litres of paint", "/", "#2", "cover"), S("the cost of the paint at full price", "*", "#3", "price"),
         S("the amount to pay after the voucher", "-", "#4", "voucher")),
        "$",
    ),
    Story(
        "train_ride",
        "A train has to cover {total} kilometres. It runs {hours} hours at {speed} kilometres an hour, and then {more} hours through the "
        "mountains at {slow} kilometres an hour. It does the rest at {last} kilometres an hour. How many hours does this last part take?",
        {"total": (900, 1900, 10), "hours": (2, 5, 1), "speed": (90, 160, 5), "more": (2, 4, 1), "slow": (40, 75, 5), "last": (60, 120, 10)},
        (S("the distance of the first part", "*", "hours", "speed"), S("the distance through the mountains", "*", "more", "slow"),
         S("the distance covered so far", "+", "#1", "#2"), S("the distance that is left", "-", "total", "#3"),
         S("the time for the last part in hours", "/", "#4", "last")),
        "hours",
        "total",
    ),
    Story(
        "chocolate",
        "{name} breaks {bars} bars of chocolate into {pieces} pieces each. {kept} pieces go into a cake. The rest is divided equally "
        "among {kids} children, and each child eats {eaten} pieces at once. How many pieces does each child have left?",
        {"bars": (9, 24, 1), "pieces": (18, 32, 2), "kept": (20, 70, 1), "kids": (5, 14, 1), "eaten": (3, 9, 1)},
        (S("the number of pieces", "*", "bars", "pieces"), S("the number of pieces for the children", "-", "#1", "kept"),
         S("the number of pieces each child gets", "/", "#2", "kids"), S("the number of pieces each child has left", "-", "#3", "eaten")),
        "pieces",
        "-kept",
    ),
    Story(
        "costumes",
        "A play has {actors} actors who need {each} costumes each. A costume takes {metres} metres of cloth, and cloth is sold in rolls of "
        "{roll} metres at ${price} a roll. What does the cloth cost?",
        {"actors": (8, 30, 2), "each": (2, 5, 1), "metres": (3, 6, 1), "roll": (12, 30, 6), "price": (38, 95, 1)},
        (S("the number of costumes", "*", "actors", "each"), S("the length of cloth needed", "*", "#1", "metres"),
         S("the number of rolls of cloth", "/", "#2", "roll"), S("the cost of the cloth", "*", "#3", "price")),
        "$",
    ),
    Story(
        "swimming",
        "{name} swims {lengths} lengths of a {pool} metre pool at every training and trains {times} times a week. How many kilometres does "
        "{name} swim in {weeks} weeks?",
        {"lengths": (20, 80, 4), "pool": (25, 50, 25), "times": (2, 6, 1), "weeks": (10, 45, 5)},
        (S("the distance of one training in metres", "*", "lengths", "pool"), S("the distance of one week in metres", "*", "#1", "times"),
         S("the distance over all weeks in metres", "*", "#2", "weeks"), S("the distance over all weeks in kilometres", "/", "#3", 1000)),
        "kilometres",
    ),
    Story(
        "phone_plan",
        "{name} buys a phone for ${phone} and takes a plan at ${fee} a month for {months} months. With the old plan, which came with a "
        "phone, the price would have been ${old} a month. How much more does {name} spend over the {months} months?",
        {"phone": (420, 890, 10), "fee": (11, 24, 1), "months": (12, 30, 6), "old": (22, 41, 1)},
        (S("the fees of the new plan", "*", "fee", "months"), S("the cost of the phone and the new plan", "+", "#1", "phone"),
         S("the cost of the old plan", "*", "old", "months"), S("the extra cost", "-", "#2", "#3")),
        "$",
    ),
    Story(
        "pancakes",
        "A recipe for {serves} people needs {flour} grams of flour. {name} makes pancakes for {guests} guests and has {have} grams of flour "
        "in the kitchen. Flour is sold in bags of {bag} grams at ${price}. How much money has to be spent on flour?",
        {"serves": (2, 6, 2), "flour": (240, 450, 10), "guests": (36, 120, 12), "have": (200, 1400, 50), "bag": (400, 1000, 200),
         "price": (2, 5, 1)},
        (S("the number of times the recipe is made", "/", "guests", "serves"), S("the flour needed in grams", "*", "#1", "flour"),
         S("the flour to be bought in grams", "-", "#2", "have"), S("the number of bags of flour", "/", "#3", "bag"),
         S("the money spent on flour", "*", "#4", "price")),
        "$",
        "-have",
    ),
    Story(
        "tulips",
        "A park plants tulips in a bed of {long} by {wide} metres. A path of {path} square metres runs through it and stays free. Each square "
        "metre takes {per} bulbs. Bulbs come in nets of {net} at ${price} a net. How much do the bulbs cost?",
        {"long": (12, 34, 2), "wide": (6, 16, 2), "path": (8, 32, 2), "per": (20, 50, 10), "net": (20, 50, 5), "price": (6, 14, 1)},
        (S("the area of the bed", "*", "long", "wide"), S("the area that is planted", "-", "#1", "path"),
         S("the number of bulbs", "*", "#2", "per"), S("the number of nets", "/", "#3", "net"), S("the cost of the bulbs", "*", "#4", "price")),
        "$",
    ),
    Story(
        "helpdesk",
        "{waiting} questions wait at a help desk in the morning. During the day {day} clerks answer {rate} questions an hour each for "
        "{hours} hours. After that {night} clerks share what is left equally. How many questions does each of the evening clerks get?",
        {"waiting": (900, 1900, 10), "day": (5, 12, 1), "rate": (6, 13, 1), "hours": (6, 8, 1), "night": (3, 7, 1)},
        (S("the number of questions answered in an hour", "*", "day", "rate"), S("the number of questions answered during the day", "*", "#1", "hours"),
         S("the number of questions left", "-", "waiting", "#2"), S("the number of questions for each evening clerk", "/", "#3", "night")),
        "questions",
        "waiting",
    ),
    Story(
        "moving_van",
        "{name} has to bring {parcels} parcels of {weight} kilograms each and furniture of {extra} kilograms to a village that is {way} "
        "kilometres away. The van carries {load} kilograms at a time and comes back after every trip. How many kilometres does the van "
        "drive in all?",
        {"parcels": (60, 180, 5), "weight": (12, 28, 1), "extra": (350, 1200, 10), "way": (14, 47, 1), "load": (400, 900, 50)},
        (S("the weight of the parcels", "*", "parcels", "weight"), S("the weight to be moved", "+", "#1", "extra"),
         S("the number of trips", "/", "#2", "load"), S("the length of one trip there and back", "*", "way", 2),
         S("the distance the van drives", "*", "#3", "#4")),
        "kilometres",
        "extra",
    ),
    Story(
        "medicine",
        "A vet orders {bottles} bottles of {ml} millilitres of a medicine. {used} millilitres have been used up. Every day {dogs} dogs get "
        "{dose} millilitres each. For how many days is there enough medicine?",
        {"bottles": (6, 18, 1), "ml": (150, 400, 50), "used": (90, 480, 10), "dogs": (4, 11, 1), "dose": (5, 15, 1)},
        (S("the amount of medicine ordered", "*", "bottles", "ml"), S("the amount of medicine left", "-", "#1", "used"),
         S("the amount of medicine the dogs get in a day", "*", "dogs", "dose"), S("the number of days the medicine lasts", "/", "#2", "#3")),
        "days",
        "-used",
    ),
    Story(
        "raffle",
        "A club sells {sold} raffle tickets at ${price}. It buys {prizes} prizes worth ${worth} each and pays ${print} for printing the "
        "tickets. Half of what remains goes to the youth team. How much does the youth team receive?",
        {"sold": (150, 480, 10), "price": (3, 8, 1), "prizes": (8, 24, 2), "worth": (15, 35, 1), "print": (24, 90, 2)},
        (S("the money from the raffle tickets", "*", "sold", "price"), S("the cost of the prizes", "*", "prizes", "worth"),
         S("the cost of prizes and printing", "+", "#2", "print"), S("the money that remains", "-", "#1", "#3"),
         S("the amount for the youth team", "/", "#4", 2)),
        "$",
        "-print",
    ),
    Story(
        "tower",
        "The stairs of a tower have {floors} flights with {steps} stairs each, and each stair is {high} centimetres "
        "high. {name} climbs the tower {times} times a year for exercise. How many metres does {name} climb in a year?",
        {"floors": (10, 45, 1), "steps": (18, 30, 1), "high": (15, 20, 1), "times": (20, 90, 5)},
        (S("the number of stairs", "*", "floors", "steps"), S("the height of the climb in centimetres", "*", "#1", "high"),
         S("the centimetres climbed in a year", "*", "#2", "times"), S("the metres climbed in a year", "/", "#3", 100)),
        "metres",
    ),
    Story(
        "rental_car",
        "{friends} friends rent a car for {days} days at ${rate} a day. They drive {km} kilometres, of which {free} are free, and pay ${per} "
        "for each of the others. Insurance costs ${cover} for the whole time. They split the bill evenly. What does each of them pay?",
        {"friends": (3, 6, 1), "days": (4, 14, 1), "rate": (35, 78, 1), "km": (620, 1480, 10), "free": (300, 580, 20), "per": (2, 3, 1),
         "cover": (45, 120, 5)},
        (S("the rent for the days", "*", "days", "rate"), S("the number of kilometres to be paid", "-", "km", "free"),
         S("the charge for the kilometres", "*", "#2", "per"), S("the rent with the kilometres", "+", "#1", "#3"),
         S("the bill with insurance", "+", "#4", "cover"), S("the amount for each friend", "/", "#5", "friends")),
        "$",
        "cover",
    ),
    Story(
        "bricks",
        "A garden wall is {long} metres long. A brick is {brick} centimetres long, and the wall has {layers} layers. {spare} bricks are "
        "ordered on top in case some crack. Bricks come on pallets of {pallet} at ${price} a pallet. What do the bricks cost?",
        {"long": (6, 26, 1), "brick": (20, 25, 5), "layers": (8, 22, 1), "spare": (30, 110, 5), "pallet": (80, 160, 20), "price": (48, 96, 2)},
        (S("the length of the wall in centimetres", "*", "long", 100), S("the number of bricks in a layer", "/", "#1", "brick"),
         S("the number of bricks in the wall", "*", "#2", "layers"), S("the number of bricks to order", "+", "#3", "spare"),
         S("the number of pallets", "/", "#4", "pallet"), S("the cost of the bricks", "*", "#5", "price")),
        "$",
        "spare",
    ),
    Story(
        "dairy",
        "Each of {cows} cows gives {litres} litres of milk a day. In a week, the calves drink {calves} litres of it. The dairy pays {cents} "
        "cents for every litre of the rest. How many dollars does the farm get for a week's milk?",
        {"cows": (30, 120, 10), "litres": (14, 29, 1), "calves": (240, 980, 20), "cents": (30, 70, 10)},
        (S("the milk of one day", "*", "cows", "litres"), S("the milk of one week", "*", "#1", 7), S("the milk that is sold", "-", "#2", "calves"),
         S("the price of the milk in cents", "*", "#3", "cents"), S("the price of the milk in dollars", "/", "#4", 100)),
        "$",
    ),
    Story(
        "stamps",
        "{name} owns {albums} stamp albums of {pages} pages, and a page takes {per} stamps. {have} stamps are already in place. {name} gets "
        "{club} new stamps a week from a club and {post} from letters. In how many weeks are the albums full?",
        {"albums": (3, 8, 1), "pages": (24, 60, 2), "per": (12, 20, 2), "have": (420, 1300, 10), "club": (9, 30, 1), "post": (4, 15, 1)},
        (S("the number of album pages", "*", "albums", "pages"), S("the number of stamps the albums take", "*", "#1", "per"),
         S("the number of stamps still missing", "-", "#2", "have"), S("the number of new stamps in a week", "+", "club", "post"),
         S("the number of weeks until the albums are full", "/", "#3", "#4")),
        "weeks",
        "-have",
    ),
    Story(
        "gym",
        "A gym has {members} members who pay ${fee} a month. It employs {trainers} trainers at ${wage} a month each, and its rooms cost "
        "${rooms} a month. How much does the gym make in a year?",
        {"members": (260, 620, 10), "fee": (28, 54, 1), "trainers": (2, 4, 1), "wage": (1600, 2500, 50), "rooms": (900, 2400, 100)},
        (S("the fees of one month", "*", "members", "fee"), S("the wages of one month", "*", "trainers", "wage"),
         S("the fees less the wages", "-", "#1", "#2"), S("the gain of one month", "-", "#3", "rooms"), S("the gain of a year", "*", "#4", 12)),
        "$",
    ),
    Story(
        "coffee",
        "A café serves {cups} cups of coffee a day and uses {grams} grams of beans for a cup. It is open {days} days a month. Beans cost "
        "${price} a kilogram. What does the café pay for beans in a month?",
        {"cups": (80, 300, 20), "grams": (8, 15, 1), "days": (20, 30, 5), "price": (13, 29, 1)},
        (S("the beans used in a day in grams", "*", "cups", "grams"), S("the beans used in a month in grams", "*", "#1", "days"),
         S("the beans used in a month in kilograms", "/", "#2", 1000), S("the price of a month's beans", "*", "#3", "price")),
        "$",
    ),
    Story(
        "desert",
        "{people} people cross a desert with {cans} cans of {can} litres of water. Each of them drinks {litres} litres a day. After {days} "
        "days they draw {well} litres from a well. For how many more days does their water last?",
        {"people": (4, 11, 1), "cans": (16, 36, 1), "can": (20, 30, 5), "litres": (4, 7, 1), "days": (4, 8, 1), "well": (40, 190, 5)},
        (S("the water they set out with", "*", "cans", "can"), S("the water they drink in a day", "*", "people", "litres"),
         S("the water drunk before the well", "*", "#2", "days"), S("the water left before the well", "-", "#1", "#3"),
         S("the water they have after the well", "+", "#4", "well"), S("the number of days the water still lasts", "/", "#5", "#2")),
        "days",
        "well",
    ),
    Story(
        "chess",
        "{players} players meet at a chess tournament, and each of them plays {games} games against others. A game takes {minutes} minutes on "
        "average, and {tables} games are played at the same time. How many minutes does the whole tournament take?",
        {"players": (8, 36, 2), "games": (4, 9, 1), "minutes": (30, 90, 5), "tables": (2, 6, 1)},
        (S("the number of games counted for both players", "*", "players", "games"), S("the number of games", "/", "#1", 2),
         S("the minutes of play at one table", "*", "#2", "minutes"), S("the length of the tournament in minutes", "/", "#3", "tables")),
        "minutes",
    ),
    Story(
        "carpet",
        "{name} lays carpet in a room of {long} by {wide} metres and in another of {length} by {width} metres. A square metre of carpet costs "
        "${price}, and the glue costs ${glue} altogether. How much does {name} spend?",
        {"long": (5, 9, 1), "wide": (3, 6, 1), "length": (4, 8, 1), "width": (2, 5, 1), "price": (16, 48, 1), "glue": (24, 85, 1)},
        (S("the area of the first room", "*", "long", "wide"), S("the area of the second room", "*", "length", "width"),
         S("the area of both rooms", "+", "#1", "#2"), S("the cost of the carpet", "*", "#3", "price"),
         S("the cost with the glue", "+", "#4", "glue")),
        "$",
    ),
    Story(
        "flight",
        "A plane flies the first {first} kilometres of its route at {speed} kilometres an hour, lands for {stop} minutes, and needs {second} "
        "minutes for the rest of the route. How many minutes pass from the start to the end of the journey?",
        {"first": (1200, 4800, 100), "speed": (400, 900, 50), "stop": (35, 95, 5), "second": (55, 190, 5)},
        (S("the flying time of the first part in hours", "/", "first", "speed"), S("the flying time of the first part in minutes", "*", "#1", 60),
         S("the time until the plane takes off again", "+", "#2", "stop"), S("the time of the whole journey", "+", "#3", "second")),
        "minutes",
        "first",
    ),
    Story(
        "kiln",
        "A potter heats a kiln from {start} degrees to {top} degrees, by {rise} degrees an hour. The kiln stays that hot for {hold} hours and "
        "then cools down to {end} degrees, by {fall} degrees an hour. How many hours does the firing take from beginning to end?",
        {"start": (20, 20, 1), "top": (820, 1220, 50), "rise": (50, 100, 25), "hold": (2, 9, 1), "end": (30, 90, 5), "fall": (40, 90, 10)},
        (S("the rise in degrees", "-", "top", "start"), S("the time for heating", "/", "#1", "rise"), S("the fall in degrees", "-", "top", "end"),
         S("the time for cooling", "/", "#3", "fall"), S("the time for heating and cooling", "+", "#2", "#4"),
         S("the time of the whole firing", "+", "#5", "hold")),
        "hours",
        "-end",
    ),
    Story(
        "heating_oil",
        "The oil tank of a house holds {tank} litres, and {left} litres are still in it. Oil costs ${price} a litre, and the lorry "
        "charges ${lorry} for coming. The bill for filling the tank is shared equally by {flats} flats. How much does each flat pay?",
        {"tank": (1800, 4500, 100), "left": (180, 760, 20), "price": (2, 4, 1), "lorry": (35, 110, 5), "flats": (4, 12, 1)},
        (S("the number of litres to fill in", "-", "tank", "left"), S("the cost of the oil", "*", "#1", "price"),
         S("the bill with the lorry", "+", "#2", "lorry"), S("the amount for each flat", "/", "#3", "flats")),
        "$",
        "lorry",
    ),
    Story(
        "newspapers",
        "{name} brings newspapers to {houses} houses in each of {streets} streets every morning and gets {cents} cents for each paper. How "
        "many dollars does {name} earn in {days} mornings?",
        {"houses": (14, 36, 1), "streets": (4, 10, 1), "cents": (10, 35, 5), "days": (20, 80, 5)},
        (S("the number of papers each morning", "*", "houses", "streets"), S("the number of papers over all the mornings", "*", "#1", "days"),
         S("the earnings in cents", "*", "#2", "cents"), S("the earnings in dollars", "/", "#3", 100)),
        "$",
    ),
    Story(
        "lemonade",
        "For a street party, {litres} litres of lemonade are mixed from {syrup} parts of syrup and {water} parts of water. A litre of syrup costs "
        "${price}, and the cups cost ${cups} in all. What do the syrup and the cups cost together?",
        {"litres": (40, 180, 5), "syrup": (2, 3, 1), "water": (4, 9, 1), "price": (4, 11, 1), "cups": (12, 45, 1)},
        (S("the number of parts", "+", "syrup", "water"), S("the litres in one part", "/", "litres", "#1"),
         S("the litres of syrup", "*", "#2", "syrup"), S("the cost of the syrup", "*", "#3", "price"),
         S("the cost of syrup and cups", "+", "#4", "cups")),
        "$",
        "litres",
    ),
    Story(
        "eggs",
        "Each of {hens} hens lays {eggs} eggs a week. The eggs are sold by the dozen at ${price}. Feed for the hens costs ${feed} over {weeks} "
        "weeks. How much money is left from these {weeks} weeks?",
        {"hens": (24, 90, 6), "eggs": (4, 6, 1), "price": (3, 6, 1), "feed": (60, 190, 5), "weeks": (4, 12, 1)},
        (S("the number of eggs in a week", "*", "hens", "eggs"), S("the number of eggs in all the weeks", "*", "#1", "weeks"),
         S("the number of dozens", "/", "#2", 12), S("the money from the eggs", "*", "#3", "price"), S("the money left after the feed", "-", "#4", "feed")),
        "$",
    ),
    Story(
        "series",
        "A television series has {seasons} seasons of {episodes} episodes, and an episode lasts {minutes} minutes. {name} watches {hours} hours "
        "of it every evening. How many evenings does {name} need for the whole series?",
        {"seasons": (3, 9, 1), "episodes": (8, 24, 2), "minutes": (20, 60, 5), "hours": (2, 4, 1)},
        (S("the number of episodes", "*", "seasons", "episodes"), S("the length of the series in minutes", "*", "#1", "minutes"),
         S("the length of the series in hours", "/", "#2", 60), S("the number of evenings", "/", "#3", "hours")),
        "evenings",
    ),
    Story(
        "forest",
        "On {hectares} hectares of burnt land, {per} young trees are planted to the hectare. In the first winter, {percent} percent of them die. "
        "Each surviving tree gets a sleeve that costs ${sleeve}. How much do the sleeves cost?",
        {"hectares": (4, 20, 1), "per": (150, 400, 50), "percent": (4, 24, 2), "sleeve": (2, 6, 1)},
        (S("the number of trees planted", "*", "hectares", "per"), S("the trees planted times the percentage", "*", "#1", "percent"),
         S("the number of trees that die", "/", "#2", 100), S("the number of trees that survive", "-", "#1", "#3"),
         S("the cost of the sleeves", "*", "#4", "sleeve")),
        "$",
    ),
    Story(
        "sofa",
        "A sofa costs ${price}, and in the sale {name} gets {percent} percent off. Delivery is ${delivery}. {name} pays the sum in {months} equal "
        "monthly instalments. How much is one instalment?",
        {"price": (600, 1800, 20), "percent": (5, 40, 5), "delivery": (30, 90, 2), "months": (3, 12, 1)},
        (S("the price times the percentage", "*", "price", "percent"), S("the discount", "/", "#1", 100), S("the reduced price", "-", "price", "#2"),
         S("the sum with delivery", "+", "#3", "delivery"), S("the monthly instalment", "/", "#4", "months")),
        "$",
        "delivery",
    ),
    Story(
        "wages",
        "{name} works {hours} hours a week for ${wage} an hour and another {over} hours of overtime for ${extra} an hour. Every week ${tax} "
        "is kept back for taxes. How much does {name} take home in {weeks} weeks?",
        {"hours": (24, 40, 1), "wage": (14, 29, 1), "over": (3, 9, 1), "extra": (24, 45, 1), "tax": (85, 210, 5), "weeks": (3, 12, 1)},
        (S("the normal pay of a week", "*", "hours", "wage"), S("the overtime pay of a week", "*", "over", "extra"),
         S("the full pay of a week", "+", "#1", "#2"), S("the pay of a week after taxes", "-", "#3", "tax"),
         S("the pay for all the weeks", "*", "#4", "weeks")),
        "$",
    ),
    Story(
        "interest",
        "{name} lends a friend ${amount} at {percent} percent simple interest a year. After {years} years the friend pays everything back at once, "
        "interest included. How much does {name} receive?",
        {"amount": (400, 4800, 50), "percent": (2, 9, 1), "years": (3, 9, 1)},
        (S("the amount times the rate", "*", "amount", "percent"), S("the interest for one year", "/", "#1", 100),
         S("the interest for all the years", "*", "#2", "years"), S("the sum paid back", "+", "#3", "amount")),
        "$",
    ),
    Story(
        "ski_lift",
        "At a ski lift a cabin leaves every {every} minutes with room for {seats} people. The lift runs {hours} hours a day, every place is taken, "
        "and {free} of the day's passengers ride for nothing. The others pay ${fee} a ride. How much does the lift earn in a day?",
        {"every": (2, 6, 1), "seats": (6, 15, 1), "hours": (6, 9, 1), "free": (40, 180, 5), "fee": (4, 11, 1)},
        (S("the number of cabins in an hour", "/", 60, "every"), S("the number of passengers in an hour", "*", "#1", "seats"),
         S("the number of passengers in a day", "*", "#2", "hours"), S("the number of passengers who pay", "-", "#3", "free"),
         S("the earnings of the lift in a day", "*", "#4", "fee")),
        "$",
    ),
    Story(
        "olive_oil",
        "{name} picks {kilos} kilograms of olives from each of {trees} trees. It takes {per} kilograms of olives to press one litre of oil. {own} "
        "litres stay in the family, and the rest is sold at ${price} a litre. How much does the oil bring?",
        {"kilos": (16, 40, 2), "trees": (20, 64, 2), "per": (4, 8, 1), "own": (12, 48, 2), "price": (8, 17, 1)},
        (S("the weight of the olives", "*", "kilos", "trees"), S("the number of litres of oil", "/", "#1", "per"),
         S("the number of litres sold", "-", "#2", "own"), S("the money from the oil", "*", "#3", "price")),
        "$",
    ),
    Story(
        "beads",
        "{name} strings {long} necklaces with {many} beads each and {short} bracelets with {few} beads each. Beads come in bags of {bag}, and a bag "
        "costs ${price}. How much do the beads cost?",
        {"long": (8, 26, 1), "many": (60, 110, 5), "short": (12, 40, 1), "few": (20, 35, 5), "bag": (20, 50, 10), "price": (3, 8, 1)},
        (S("the number of beads for the necklaces", "*", "long", "many"), S("the number of beads for the bracelets", "*", "short", "few"),
         S("the number of beads", "+", "#1", "#2"), S("the number of bags of beads", "/", "#3", "bag"), S("the cost of the beads", "*", "#4", "price")),
        "$",
    ),
    Story(
        "candles",
        "{name} melts {kilos} kilograms of wax. {waste} grams stick to the pot, and every candle takes {grams} grams. The candles are sold for ${price} "
        "each, and the wax has cost ${cost}. What is the gain?",
        {"kilos": (8, 26, 1), "waste": (120, 480, 10), "grams": (60, 180, 10), "price": (3, 9, 1), "cost": (65, 180, 5)},
        (S("the weight of the wax in grams", "*", "kilos", 1000), S("the weight of the wax for candles", "-", "#1", "waste"),
         S("the number of candles", "/", "#2", "grams"), S("the money from the candles", "*", "#3", "price"), S("the gain on the candles", "-", "#4", "cost")),
        "$",
        "-waste",
    ),
    Story(
        "road",
        "A road of {km} kilometres is to be repaired, and {done} metres of it are finished. A crew repairs {rate} metres a day and works alone for "
        "{days} days. Then a second crew joins it that repairs {more} metres a day. How many days do the two crews need together for the rest?",
        {"km": (6, 14, 1), "done": (420, 1600, 20), "rate": (50, 110, 5), "days": (6, 24, 2), "more": (40, 95, 5)},
        (S("the length of the road in metres", "*", "km", 1000), S("the length not yet repaired", "-", "#1", "done"),
         S("the length the first crew repairs alone", "*", "rate", "days"), S("the length left for both crews", "-", "#2", "#3"),
         S("the length both crews repair in a day", "+", "rate", "more"), S("the days both crews need", "/", "#4", "#5")),
        "days",
        "-done",
    ),
    Story(
        "hike",
        "{name} walks {morning} kilometres before lunch and {later} kilometres after lunch. One pace of {name} is {pace} centimetres long. How many paces "
        "does {name} make that day?",
        {"morning": (4, 15, 1), "later": (3, 12, 1), "pace": (50, 80, 5)},
        (S("the distance of the hike in kilometres", "+", "morning", "later"), S("the distance of the hike in metres", "*", "#1", 1000),
         S("the distance of the hike in centimetres", "*", "#2", 100), S("the number of paces", "/", "#3", "pace")),
        "paces",
    ),
    Story(
        "laundry",
        "A hotel washes {rooms} rooms' bedding at {kilos} kilograms a room and {cloths} kilograms of tablecloths every day. A washing machine takes {load} "
        "kilograms at a time and uses {litres} litres of water for it. How much water does the hotel's laundry use in a day?",
        {"rooms": (24, 90, 1), "kilos": (3, 6, 1), "cloths": (20, 85, 1), "load": (8, 24, 2), "litres": (55, 120, 5)},
        (S("the weight of the bedding", "*", "rooms", "kilos"), S("the weight of the laundry", "+", "#1", "cloths"),
         S("the number of machine loads", "/", "#2", "load"), S("the water used in a day", "*", "#3", "litres")),
        "litres",
        "cloths",
    ),
    Story(
        "garden_rent",
        "A field of {long} metres by {wide} metres is divided into garden plots of {plot} square metres. {free} plots stay empty. The tenants pay ${rent} a "
        "month for a plot. How much rent comes in during half a year?",
        {"long": (60, 180, 10), "wide": (40, 100, 10), "plot": (100, 300, 50), "free": (3, 12, 1), "rent": (9, 25, 1)},
        (S("the area of the field", "*", "long", "wide"), S("the number of plots", "/", "#1", "plot"), S("the number of plots let", "-", "#2", "free"),
         S("the monthly rent of the field", "*", "#3", "rent"), S("the rent of half a year", "*", "#4", 6)),
        "$",
    ),
    Story(
        "magazine",
        "{name} translates a magazine of {pages} pages with {words} words on each. {done} words are translated. {name} manages {rate} words an hour and works "
        "{hours} hours a day. In how many days is the translation ready?",
        {"pages": (36, 90, 2), "words": (280, 450, 10), "done": (1200, 4600, 100), "rate": (200, 400, 50), "hours": (4, 7, 1)},
        (S("the number of words in the magazine", "*", "pages", "words"), S("the number of words left", "-", "#1", "done"),
         S("the number of words translated in a day", "*", "rate", "hours"), S("the days of translating", "/", "#2", "#3")),
        "days",
        "-done",
    ),
    Story(
        "pizza",
        "{guests} people at a party eat {slices} slices of pizza each, and {spare} slices are wanted for later. A pizza is cut into {cut} slices and costs "
        "${price}. How much do the pizzas cost?",
        {"guests": (14, 48, 1), "slices": (3, 5, 1), "spare": (5, 24, 1), "cut": (6, 12, 2), "price": (8, 17, 1)},
        (S("the number of slices eaten", "*", "guests", "slices"), S("the number of slices wanted", "+", "#1", "spare"),
         S("the number of pizzas", "/", "#2", "cut"), S("the cost of the pizzas", "*", "#3", "price")),
        "$",
        "spare",
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
