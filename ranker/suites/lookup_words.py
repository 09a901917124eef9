"""The domains of the lookup suite, and the words in which it asks and replies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Field:
    """A column: `kind` is "int", "dec", "time", "date" or "cat"; numbers lie from `low` to `high`."""

    name: str
    kind: str
    low: float = 0
    high: float = 0
    values: tuple[str, ...] = ()
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Domain:
    """What the records of a material are: `names` are theirs, more than any material has."""

    name: str
    one: str
    many: str
    about: str
    key: str
    names: tuple[str, ...]
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Words:
    """How one split speaks.

    Attributes:
        leads: what opens the message, `{about}` the material's subject.
        turns: what stands between the material and the questions.
        asks: questions, by the kind of item; `cores`: noun phrases that name the item in a reply.
        conds: conditions: equal to, above, below.
        one, many: sentences that answer with one thing or several; `{c}` the core, `{C}` with a capital, `{a}` the answer.
        nothing: what stands where an answer is left out.
        restate: sentences that name an item and give nothing.
        starts, asides, ends: sentences that say nothing of the material.
        records, pairs: how a prose material tells a record, and each of its fields.
        materials, shapes, formats: of the material, of replies, of rows asked for.
        units: what says in which units the numbers are.
    """

    domains: tuple[Domain, ...]
    leads: tuple[str, ...]
    turns: tuple[str, ...]
    asks: Mapping[str, tuple[str, ...]]
    cores: Mapping[str, tuple[str, ...]]
    conds: tuple[str, str, str]
    one: tuple[str, ...]
    many: tuple[str, ...]
    nothing: tuple[str, ...]
    restate: tuple[str, ...]
    starts: tuple[str, ...]
    asides: tuple[str, ...]
    ends: tuple[str, ...]
    records: tuple[str, ...]
    pairs: tuple[str, ...]
    materials: tuple[str, ...]
    shapes: tuple[str, ...]
    formats: Mapping[str, str]
    units: str


def _field(text: str) -> Field:
    name, _, spec = text.partition(": ")
    name, _, unit = name.partition(" in ")
    if spec in ("time", "date"):
        return Field(name, spec)
    if "/" in spec:
        return Field(name, "cat", values=tuple(spec.split("/")))
    low, _, high = spec.partition("-")
    return Field(name, "dec" if "." in spec else "int", float(low), float(high), unit=unit)


def _domain(name: str, one: str, many: str, about: str, key: str, names: str, *fields: str) -> Domain:
    return Domain(name, one, many, about, key, tuple(names.split("/")), tuple(map(_field, fields)))


_PEOPLE = "Anna Berg/Ben Carter/Clara Diaz/David Ewing/Emma Foss/Felix Grant/Grace Hull/Hugo Ibsen/Iris Jansen/Jonas Keller/Laura Moss/Mark Nolan/Nina Ortiz/Oscar Pell/Paula Quist"
_OTHERS = "Amina Sow/Bruno Rossi/Chen Wei/Daria Popova/Elif Kaya/Farid Nasser/Gita Rao/Henrik Lund/Ines Prado/Jun Sato/Kofi Mensah/Leila Haddad/Mateo Cruz"
_TRAINING = (
    _domain("shop_stock", "product", "products", "the stock of a hardware shop", "product", "Claw hammer/Tape measure/Wood glue/Steel saw/Paint tray/Work light/Pipe wrench/Hand drill/Spirit level/Box cutter/Step ladder/Sand paper", "price in EUR: 2.00-95.00", "quantity: 3-240", "supplier: Brill/Tesko/Nordmann/Hale/Quent", "aisle: A1/A2/B1/B2/C3"),
    _domain("departures", "flight", "flights", "this morning's departures at a small airport", "flight", "KL204/BA918/LH377/AF552/SK641/IB830/AZ119/TP745/OS406/EI263/AY587", "destination: Oslo/Lisbon/Vienna/Madrid/Dublin/Rome", "departure: time", "gate: G1/G2/G4/G7/G9", "status: boarding/delayed/on time/cancelled"),
    _domain("ward_patients", "patient", "patients", "the patients of a hospital ward", "patient", _PEOPLE, "age: 19-93", "room: R11/R12/R14/R15/R17", "pulse in bpm: 52-118", "diet: normal/light/diabetic/vegan", "admission: date"),
    _domain("library_loans", "book", "books", "the loans of a village library", "title", "Winter Road/The Glass Hill/Salt and Iron/Blue Lantern/Northern Birds/A Quiet Year/Stone Bridge/The Last Orchard/Paper Boats/Night Ferry/River Songs", "borrower: Adams/Brandt/Costa/Dvorak/Evans", "due date: date", "renewal count: 0-19", "section: fiction/travel/nature/history"),
    _domain("sensor_readings", "sensor", "sensors", "the sensors in a greenhouse", "sensor", "S-North/S-South/S-East/S-West/S-Door/S-Roof/S-Tank/S-Pump/S-Bench/S-Vent/S-Floor", "temperature in C: 8.0-39.0", "humidity in %: 21-95", "battery in %: 12-99", "state: idle/active/fault/paused"),
    _domain("football_results", "team", "teams", "a football league after ten rounds", "team", "Rovers/Albion/Harriers/Wanderers/Athletic/Thistle/Orient/Rangers/Corinthians/Argyle/Swifts", "point total: 2-29", "goal count: 4-38", "coach: Mills/Okafor/Brandt/Vela/Stone", "home ground: Park Lane/Mill End/Eastfield/The Oval"),
    _domain("recipes", "recipe", "recipes", "a family's recipe cards", "dish", "Lentil soup/Apple pie/Beef stew/Rice salad/Leek tart/Corn bread/Fish cakes/Plum jam/Pea risotto/Bean chili/Carrot cake", "cooking time in min: 10-180", "serving count: 2-24", "main spice: cumin/thyme/paprika/ginger/nutmeg", "calorie count: 120-890"),
    _domain("hotel_bookings", "guest", "guests", "the bookings of a seaside hotel", "guest", _PEOPLE, "room number: 101-399", "length of stay: 1-14", "arrival: date", "meal plan: breakfast/half board/full board/room only", "bill in EUR: 85.00-990.00"),
    _domain("orchard_trees", "plot", "plots", "the plots of an orchard", "plot", "Upper field/Lower field/Long strip/Old wall/Mill bank/Sunny slope/Brook side/Chapel hill/Stone yard/Fox corner/Deep lane", "fruit: apple/pear/cherry/plum/quince", "tree count: 12-160", "harvest in kg: 240-3900", "planting year: 1972-2016"),
    _domain("bus_lines", "line", "lines", "the bus lines of a town", "line", "Line K/Line M/Line P/Line R/Line T/Line V/Line W/Line X/Line Y/Line Z", "first bus: time", "last stop: Station/Harbour/Hospital/Zoo/Campus", "stop count: 6-38", "driver: Abel/Bruck/Cole/Dorn/Esser"),
    _domain("museum_pieces", "piece", "pieces", "the catalogue of a local museum", "piece", "Bronze bell/Clay lamp/Ivory comb/Iron key/Silver cup/Oak chest/Wool banner/Jade ring/Copper plate/Stone seal/Amber bead", "year: 1210-1890", "hall: East hall/West hall/Crypt/Tower", "weight in g: 15-8800", "donor: Falk/Greer/Hoyt/Ivens/Lund"),
    _domain("payroll", "employee", "employees", "the staff of a print works", "employee", _PEOPLE, "salary in EUR: 1800-5900", "department: sales/press/binding/design/stores", "leave balance in days: 2-30", "start date: date"),
    _domain("exam_marks", "student", "students", "the results of a term's exams", "student", _PEOPLE, "maths mark: 31-99", "physics mark: 28-98", "group: red/green/blue/yellow", "absence count: 0-17", "tutor: Finch/Gray/Howe/Irving"),
    _domain("ships", "ship", "ships", "the ships in a harbour", "ship", "Aurora/Bellwether/Calypso/Dauntless/Endeavour/Fortuna/Galatea/Horizon/Isabella/Juno/Kestrel", "cargo: grain/timber/steel/coffee/cement", "berth: B1/B2/B3/B5/B8", "length in m: 48-290", "crew: 7-64", "arrival time: time"),
    _domain("parcel_log", "parcel", "parcels", "a courier's parcels", "parcel", "PX-11/PX-27/PX-34/PX-48/PX-52/PX-63/PX-79/PX-85/PX-90/PX-96", "weight in kg: 0.30-28.00", "zone: north/south/east/west/centre", "delivery: time", "result: delivered/refused/left with neighbour/returned"),
    _domain("mountain_huts", "hut", "huts", "the huts of an alpine club", "hut", "Eagle hut/Larch hut/Glacier hut/Marmot hut/Cloud hut/Edelweiss hut/Granite hut/Chamois hut/Pass hut/Spring hut", "altitude in m: 1120-3290", "bed count: 8-120", "warden: Auer/Bichler/Egger/Fuchs/Gruber", "valley: Oetz/Ziller/Pitz/Stubai"),
    _domain("server_jobs", "job", "jobs", "the night jobs of a data centre", "job", "backup-db/index-mail/clean-tmp/sync-files/build-docs/scan-ports/rotate-keys/pack-logs/train-ocr/send-bills", "start: time", "duration in s: 14-3600", "host: atlas/boreas/chiron/delos", "outcome: done/failed/skipped/retrying", "memory in MB: 64-8100"),
    _domain("zoo_animals", "animal", "animals", "the animals of a small zoo", "animal", "Kito/Luna/Bruno/Maya/Rocky/Tala/Zuri/Pepe/Nala/Otto/Simba", "species: otter/lynx/tapir/ibex/heron", "weight in kg: 3.50-240.00", "keeper: Wyatt/Young/Zeller/Xu", "feeding: time", "birth year: 2004-2022"),
    _domain("garden_plants", "plant", "plants", "the offers of a plant nursery", "plant", "Lavender/Foxglove/Peony/Sage/Marigold/Hosta/Dahlia/Aster/Fuchsia/Clematis/Begonia/Yarrow", "height in cm: 15-240", "colour: white/violet/pink/orange/yellow", "light: full sun/half shade/shade", "pot price in EUR: 2.50-24.00"),
    _domain("concerts", "concert", "concerts", "a festival's concerts", "act", "The Lanterns/Mara Voss/Cold Harbour/String Nine/Delta Choir/Red Kites/Olga Trio/Paper Moon/Sea Legs/Tin Drum/Velvet Owl", "venue: main stage/tent/garden/cellar", "begin: time", "ticket in EUR: 8-75", "genre: folk/jazz/rock/choral/blues", "attendance: 60-4200"),
    _domain("bridges", "bridge", "bridges", "an inspection of bridges", "bridge", "Mill Bridge/Kings Bridge/Rail Bridge/Lock Bridge/Abbey Bridge/Dam Bridge/Ford Bridge/Quay Bridge/Weir Bridge/Toll Bridge", "span in m: 12-410", "opening year: 1871-2015", "material: steel/stone/timber/concrete", "condition: good/fair/poor", "last visit: date"),
    _domain("bakery_orders", "order", "orders", "the orders at a bakery", "order", "Order-A/Order-B/Order-C/Order-D/Order-E/Order-F/Order-G/Order-H/Order-J/Order-K", "customer: Hill Cafe/Mrs Lang/Town Hall/Sports Club/Mr Reeve", "loaf count: 2-85", "pickup: time", "total in EUR: 6.00-210.00", "flour: rye/wheat/spelt/oat"),
    _domain("rental_flats", "flat", "flats", "flats to let", "flat", "Elm Court/Park View/Mill House/Canal Loft/Garden Flat/Tower Nine/Rose Lane/Dock Studio/Hill Terrace/Castle Row", "rent in EUR: 390-2400", "floor: 0-24", "size in m2: 24-155", "heating: gas/district/heat pump/electric", "vacancy date: date"),
    _domain("lab_samples", "sample", "samples", "water samples of a laboratory", "sample", "W-Alder/W-Birch/W-Cedar/W-Dogwood/W-Elder/W-Fir/W-Hazel/W-Juniper/W-Linden/W-Maple", "acidity in pH: 5.10-8.90", "nitrate in mg: 2.00-48.00", "site: well/lake/stream/spring", "analyst: Hobbs/Ilves/Joyce/Kemp", "day taken: date"),
    _domain("conference_talks", "talk", "talks", "the programme of a meeting", "talk", "Wind Power/Soil Health/City Trees/Clean Steel/Deep Heat/Smart Grids/Tidal Mills/Green Roofs/Slow Travel/Waste Maps", "speaker: Abbott/Bianchi/Chandra/Dubois/Eriksen", "hall: Hall A/Hall B/Hall C/Hall D", "starting time: time", "length in min: 15-90", "seat count: 30-420"),
    _domain("machine_service", "machine", "machines", "the machines of a workshop", "machine", "Lathe/Mill/Press/Router/Grinder/Welder/Bandsaw/Shear/Laser/Crane/Kiln", "running time in h: 120-9800", "next service: date", "technician: Pohl/Quinn/Reyes/Sutter", "noise in dB: 61-108", "bay: bay one/bay two/bay three/bay four"),
    _domain("weather_towns", "town", "towns", "yesterday's weather in a district", "town", "Ashford/Brinley/Coldwell/Dunmore/Elsworth/Farleigh/Granby/Holmfield/Ivybridge/Kelso/Larkhill", "high in C: 11-38", "rain in mm: 0.0-42.0", "wind in km: 3-95", "sky: clear/cloudy/overcast/foggy"),
)  # fmt: skip
_HELD_OUT = (
    _domain("vet_clinic", "pet", "pets", "the appointments of a veterinary practice", "pet", "Biscuit/Cleo/Domino/Figaro/Ginger/Hazelnut/Jasper/Kiwi/Mochi/Nugget/Pixel", "breed: beagle/tabby/spaniel/siamese/terrier", "appointment: time", "dose in ml: 0.40-9.50", "vet: Dr Alvarez/Dr Byrne/Dr Castell/Dr Demir", "fee in USD: 25-310"),
    _domain("wine_cellar", "wine", "wines", "the contents of a wine cellar", "label", "Monte Rosso/Val Serena/Casa Bruna/Clos Martin/Domaine Vert/Terra Alta/Quinta Nova/Chateau Lys/Porto Santo/Riva Chiara", "grape: merlot/syrah/malbec/riesling", "vintage: 1985-2021", "bottle count: 1-72", "rack: rack I/rack II/rack III/rack IV"),
    _domain("marathon", "runner", "runners", "the finish of a charity run", "runner", _OTHERS, "bib: 1004-4987", "finish time: time", "club: Swiftfoot/Trailblaze/Milers/Roadhogs", "age group: juniors/seniors/masters/veterans", "donation in USD: 5-480"),
    _domain("satellites", "satellite", "satellites", "a fleet of satellites", "satellite", "Helios/Icarus/Janus/Kepler/Lyra/Mimas/Nereid/Oberon/Pallas/Rhea/Titan", "orbit in km: 310-35800", "launch date: date", "operator: Astrex/Boreal/Cosmotel/Deltasat", "panel count: 2-16", "signal: strong/weak/lost/noisy"),
    _domain("auction", "lot", "lots", "the lots of a country auction", "lot", "Writing desk/Brass clock/Persian rug/Tea set/Oil portrait/Garden bench/Violin case/Pearl brooch/Globe lamp/Chess table", "estimate in USD: 40-7200", "bid count: 1-33", "seller: Ferrante/Goldberg/Hashimoto/Ivanova", "period: Victorian/Georgian/Art Deco/Modern"),
    _domain("film_club", "film", "films", "the season of a film club", "film", "Silent Harbor/Ember Days/The Long Wire/Monsoon Post/Glass Parade/Copper Moon/Zero Meridian/Velvet Road/Ninth Window/Hollow Crown", "director: Amato/Bergholm/Chaudhry/Delacroix", "runtime in min: 71-204", "screening: date", "language: Italian/Swedish/Hindi/French", "vote count: 12-940"),
    _domain("fish_farm", "pond", "ponds", "the ponds of a fish farm", "pond", "Pond Amber/Pond Beryl/Pond Coral/Pond Dusk/Pond Ebony/Pond Flint/Pond Garnet/Pond Hazel/Pond Indigo/Pond Jade", "fish: trout/carp/perch/sturgeon", "depth in m: 1.10-6.80", "feed in kg: 14-390", "oxygen in mg: 4.10-11.90", "overseer: Wanjiru/Yilmaz/Zhang/Volkov"),
    _domain("insurance_claims", "claim", "claims", "the claims on an adjuster's desk", "claim", "CLM-Alpha/CLM-Bravo/CLM-Echo/CLM-Golf/CLM-Hotel/CLM-India/CLM-Kilo/CLM-Lima/CLM-Oscar/CLM-Tango", "cause: storm/theft/fire/flood", "filed on: date", "amount in USD: 210-18400", "stage: open/approved/rejected/appealed"),
    _domain("volunteers", "volunteer", "volunteers", "the rota of a food bank", "volunteer", _OTHERS, "shift: time", "task: sorting/driving/packing/reception", "phone extension: 210-899", "pledge in h: 2-26", "depot: Northgate/Southbank/Westend/Eastcote"),
    _domain("telescope_log", "star", "stars", "an amateur astronomer's observing list", "star", "Vega/Altair/Deneb/Rigel/Capella/Mizar/Spica/Antares/Regulus/Procyon/Arcturus", "magnitude: 0.10-6.40", "distance in ly: 8-2600", "rising time: time", "filter: red filter/blue filter/clear filter/narrow filter"),
)  # fmt: skip
TRAINING = Words(
    _TRAINING,
    (
        "Here is {about}.", "Below you find {about}.", "This is what I have on {about}:", "I copied this from a file about {about}.",
        "The following shows {about}.", "Please have a look at {about}:", "A colleague sent me {about}.", "I need some help with {about}.",
        "What follows is {about}, as of today.", "Take this information about {about}.", "You are given {about}.", "Hi! I keep notes on {about}.",
    ),
    (
        "From this, I need:", "Please answer from it alone:", "Tell me the following:", "My questions:", "Using only the above, give me:",
        "Could you look up these for me?", "I want to know:", "Work out the following from it, please.", "What I am after:",
    ),
    {
        "value": ("What is the {f} of {k}?", "The {f} of {k}.", "Which {f} does {k} have?", "{k}: what is its {f}?", "Give the {f} for {k}.", "Look up {k} and tell me the {f}."),
        "who": ("Which {o} has {f} {v}?", "The {o} whose {f} is {v}.", "Find the {o} with {f} {v}.", "What {o} does {f} {v} belong to?"),
        "count": ("How many {m} have {cond}?", "The number of {m} with {cond}.", "Count the {m} with {cond}.", "With {cond}, how many {m} are there?"),
        "list": ("Which {m} have {cond}?", "All {m} with {cond}.", "List every one of the {m} with {cond}.", "Name the {m} that have {cond}."),
        "most": ("Which {o} has the {d} {f}?", "The {o} with the {d} {f}.", "Name the {o} whose {f} is the {d}.", "Whose {f} is the {d}?"),
        "order": ("The first three {m} sorted by {f}, {d} first.", "Sort the {m} by {f} ({d} first) and give the top three.", "Order by {f}, starting with the {d}: which three {m} come first?"),
        "rows": ("Convert the entries of {ks} to {fmt}.", "The records of {ks} as {fmt}, with all their fields.", "Rewrite {ks} as {fmt}, every field included."),
        "change": ("A copy of the entry of {k} as {fmt}, with the {f} changed to {x} and the rest as it is.", "Set the {f} of {k} to {x} and show its full record as {fmt}.", "Repeat the record of {k} as {fmt}, but with {f} {x}."),
    },
    {
        "value": ("the {f} of {k}", "{k}'s {f}", "the {f} for {k}", "the {f} that {k} has"),
        "who": ("the {o} with {f} {v}", "the {o} whose {f} is {v}", "the one that has {f} {v}"),
        "count": ("the number of {m} with {cond}", "the count of {m} with {cond}", "how many {m} have {cond}"),
        "list": ("the {m} with {cond}", "the {m} that have {cond}", "all {m} with {cond}"),
        "most": ("the {o} with the {d} {f}", "the one whose {f} is {d}", "the {d} {f} overall"),
        "order": ("the first three by {f}", "the top three {m} by {f}", "the {m} sorted by {f}, {d} first"),
        "rows": ("the entries as {fmt}", "the converted records", "the records you wanted as {fmt}"),
        "change": ("the changed entry", "the copy with the new {f}", "the entry after the change"),
    },
    ("{f} {v}", "{f} above {v}", "{f} below {v}"),
    ("{C} is {a}.", "As for {c}, it is {a}.", "I read {a} for {c}.", "For {c} I have {a}.", "{C} comes to {a}.", "It says {a} for {c}."),
    ("{C} are {a}.", "As for {c}, these are {a}.", "I get {a} for {c}.", "For {c} I have {a}.", "You will find {a} under {c}."),
    ("not given in the material", "nothing that I could find", "not stated there", "unknown from these records", "missing, as far as I can see"),
    ("You asked about {c}.", "One question was about {c}.", "I also looked for {c}.", "That includes {c}."),
    (
        "Here is what I found.", "I went through the material line by line.", "Sure, happy to help.", "These are the answers to your questions.",
        "All of this is taken from what you gave me.", "Let me go through your questions.", "Thanks for the clear layout.", "Of course.",
        "I only used the information above and nothing from elsewhere.", "Below are the results.", "The material was easy to read.",
    ),
    (
        "That one was easy to find.", "On to the next.", "I looked at this twice.", "This took a closer look.", "Good.",
        "The entry in question is plain to see.", "This is read straight off.", "Next.", "Here I had to compare a few entries.",
    ),
    (
        "Let me know if you need anything else.", "That should be all.", "I hope this helps.", "Everything comes from the material itself.",
        "Tell me if you want it in another layout.", "I have compared all of it with the material once more.", "Done.",
        "If the data changes, I can go through it again.", "Nothing else was asked for, so I stop here.", "Feel free to ask for more.",
    ),
    ("{k} has {p}.", "For {k} we have {p}.", "Then there is {k}, with {p}.", "{k} comes with {p}.", "About {k} we know {p}.", "{k} is down with {p}."),
    ("{f} {v}", "{v} as {f}", "the {f} {v}"),
    ("csv", "markdown", "blocks", "json", "prose", "log", "notes", "schedule", "semicolons", "columns"),
    ("sentences", "lines", "bullets", "numbered", "keys", "bold", "table", "json", "ordinals", "paragraphs"),
    {"csv": "CSV without a header", "jsonl": "JSON lines", "table": "rows of a markdown table", "pairs": "key=value pairs on one line each"},
    "(Units: {u}.)",
)  # fmt: skip
HELD_OUT = Words(
    _HELD_OUT,
    (
        "I pasted {about} underneath.", "Our records of {about} read as follows.", "Consider {about}, reproduced in full:",
        "Attached: {about}.", "See {about} as exported a minute ago.", "For reference, {about}:", "We track {about} like this.",
    ),
    (
        "Kindly extract:", "Questions to settle with it:", "Report back on these points.", "Now respond to each point:",
        "Without guessing, provide:", "My manager wants:", "Fill me in on:",
    ),
    {
        "value": ("{k} – state the {f}.", "State the {f} recorded against {k}.", "I need to hear the {f} entered for {k}.", "Under {k}, what does {f} say?"),
        "who": ("Identify the {o} having {v} as {f}.", "{v} appears as {f} of one {o}; which?", "To which {o} was {f} {v} assigned?"),
        "count": ("Tally the {m} where {cond}.", "State how many of the {m} satisfy: {cond}.", "What is the tally of {m} for which {cond}?"),
        "list": ("Enumerate the {m} where {cond}.", "Pick out each of the {m} for which {cond}.", "Filter the {m} down to those where {cond}."),
        "most": ("Point out the {o} that tops the list for {d} {f}.", "Going by {f}, who or what stands {d}?", "Single out the {d} {f}: what {o} is it?"),
        "order": ("Rank the {m} on {f} from the {d} onwards and report places one to three.", "Arrange the {m} on {f} ({d} at the front); state the leading three."),
        "rows": ("Express {ks} in the form of {fmt}, complete.", "Turn what is recorded for {ks} into {fmt}."),
        "change": ("Reproduce everything on {k} in the form of {fmt}, replacing the {f} by {x}.", "Suppose {k} now had {x} for {f}: write it out in the form of {fmt}."),
    },
    {
        "value": ("the {f} recorded against {k}", "{k} and its {f}", "the {f} entered for {k}"),
        "who": ("the {o} having {v} as {f}", "the holder of {f} {v}"),
        "count": ("the tally where {cond}", "the tally of {m} for which {cond}"),
        "list": ("the {m} where {cond}", "those filtered on {cond}", "each of the {m} for which {cond}"),
        "most": ("the {d} {f} among them", "the {o} standing {d} on {f}"),
        "order": ("the ranking on {f}", "the leading three on {f}"),
        "rows": ("the {m} in the form of {fmt}", "the reformatted {m}"),
        "change": ("the edited {o}", "the {o} carrying the replaced {f}"),
    },
    ("{f} equals {v}", "{f} exceeds {v}", "{f} stays under {v}"),
    ("{C} turns out to be {a}.", "Regarding {c}: {a}.", "My reading of {c} gives {a}.", "I would put {a} down for {c}.", "Against {c} stands {a}."),
    ("{C} turn out to be {a}.", "Regarding {c}: {a}.", "My reading of {c} gives {a}.", "I would put {a} down for {c}."),
    ("absent from the records supplied", "something the export leaves open", "impossible to determine here", "blank in the source"),
    ("Your points covered {c}.", "Another point concerned {c}.", "Part of the request was {c}."),
    (
        "Having read the export, I can report the following.", "My findings are set out here.", "Gladly.", "Each point is addressed in turn.",
        "No outside knowledge went into this.", "The extract was complete enough to work with.", "Right, let us see.",
        "What you sent was straightforward to search.",
    ),
    (
        "This was quick to locate.", "Moving along.", "Here one has to scan the whole export.", "The source is explicit on this.", "Right.",
        "I went back to the source for this.",
    ),
    (
        "Do get in touch should something be unclear.", "This completes the request.", "Your manager can have it in a different layout too.",
        "I traced every point back to the export.", "End of report.", "Happy to redo it with a fresh export.", "There is no more to report on this.",
        "Should further points come up, send them along.",
    ),
    ("On file for {k}: {p}.", "Where {k} is concerned, the file shows {p}.", "{k} was entered together with {p}.", "The remarks on {k} give {p}."),
    ("{f} at {v}", "{f} being {v}", "{v} under {f}"),
    ("yaml", "tags", "sections", "csv", "markdown", "json", "prose", "numbered"),
    ("sentences", "lines", "arrows", "tags", "brackets", "table", "json", "stars"),
    {"slashes": "fields separated by spaced slashes", "jsonl": "one JSON object per line", "semi": "semicolon-separated lines", "table": "markdown table rows"},
    "Measured thus: {u}.",
)  # fmt: skip
