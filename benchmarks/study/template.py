"""The template of the study's page."""

TEMPLATE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>One agent, trained under judges of every quality</title>
<style>
:root { color-scheme: light; --ink: #1b1f24; --soft: #57606a; --line: #d8dee4; --tint: #f3f6f9; --accent: #0072b2; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem; max-width: 60rem; color: var(--ink); background: #fff;
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .4rem 0 .6rem; }
h2 { font-size: 1.2rem; margin: 0 0 .3rem; }
p { margin: .4rem 0; }
.soft { color: var(--soft); }
section { border-top: 1px solid var(--line); padding: 1.2rem 0 .8rem; }
.verdict { background: var(--tint); border-left: 4px solid var(--accent); padding: .5rem .8rem; font-weight: 600;
  overflow-wrap: anywhere; }
ul { padding-left: 1.2rem; margin: .6rem 0; }
li { margin: .25rem 0; overflow-wrap: anywhere; }
.pictures { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }
figure { margin: .6rem 0 0; }
figure svg { width: 100%; max-width: 40rem; height: auto; display: block; margin: 0 auto; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--soft); font-weight: 600; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem .8rem; margin: .6rem 0; font-size: .9rem; }
dt { font-weight: 600; } dd { margin: 0; }
code { font-size: .9em; overflow-wrap: anywhere; }
</style>
</head>
<body>
<h1>One agent, trained under judges of every quality</h1>
<p>One small agent, a clerk at a returns desk with two tools, is trained with GRPO again and again: under the truth
itself, and under simulated judges of every quality and kind of error, which it reaches over HTTP as it would any
judge. Everything else is the same, seeds included. What counts is the true reward on letters it was not trained
on{% if start %}; untrained it gets {{ start }}{% endif %}.</p>
<p class="soft">{{ study.seeds }} seed{{ "" if study.seeds == 1 else "s" }}, {{ study.steps }} steps of 64 attempts.
Intervals are 95 %: Student's t over seeds, Fieller's for recovery. Differences are paired by seed. An answer is
&ldquo;not decided&rdquo; where its interval holds 0.</p>
{% for answer in answers %}
<section>
<h2>{{ answer.question }}</h2>
<p class="verdict">{{ answer.verdict | capital }}.</p>
{% if answer.pictures %}
<div class="pictures">
{% for picture in answer.pictures %}
<figure>{{ picture }}</figure>
{% endfor %}
</div>
{% endif %}
<ul>
{% for sentence in answer.sentences %}
<li>{{ sentence }}</li>
{% endfor %}
</ul>
</section>
{% endfor %}
<section>
<h2>Every arm</h2>
<div class="wide">
<table>
<thead><tr>{% for column in columns %}<th>{{ column }}</th>{% endfor %}</tr></thead>
<tbody>
{% for cells in rows %}
<tr>{% for cell in cells %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</tbody>
</table>
</div>
<dl>
{% for name, about in kinds %}
<dt>{{ name }}</dt><dd>{{ about }}</dd>
{% endfor %}
</dl>
</section>
<section>
<h2>How it was measured</h2>
<p>The judge's accuracy is the share of pairs of different truth that it orders as the truth does (ties count half), on 200
groups of 8 attempts of the untrained policy, in the same prompts and over the same way as in training. &ldquo;In
training&rdquo; is the same on the groups of the run itself. Random error is normal, and its deviation is set so that
the accuracy is the wanted one. Systematic judges have no random error. Steps to 90 %: the first step at which the
true reward on training letters, mean of five steps, has made nine tenths of the way that the truth makes;
&ldquo;never&rdquo; is not within the run. KL is to the untrained policy, in nats a token.</p>
<p>What this cannot say: the policy is tiny, the judge is simulated, and there is one environment. How much noise a
policy can bear depends on how many groups it sees, and a bias harms where the policy can find and use it.</p>
<p class="soft"><code>{{ study.command }}</code><br>
{{ study.machine.cores }} cores, Python {{ study.machine.python }}, torch {{ study.machine.torch }}
{%- if study.commit %}, commit {{ study.commit[:12] }}{% endif %}; {{ study.runs.done }} of {{ study.runs.planned }}
runs, {{ study.runs.failed }} failed; {{ "%.0f" | format(study.runs.core_minutes) }} core minutes.</p>
</section>
</body>
</html>
"""
