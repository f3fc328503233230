"""The whole product at work, in under five minutes: ``python -m dags_examples.demo``.

Two real classifiers of handwritten digits are trained. Version 1 is deployed on a control plane on this machine
and keeps answering real requests, digits that neither model has seen, at a steady rate throughout. An
Airflow DAG rolls version 2 out, 10 % -> 50 % -> all. Then a Prefect flow rolls out version 3, which fails on
a quarter of its requests, and has to take it back by itself.

    train.py      the models and the service folders
    app/          the service's source, the same for all three versions
    traffic.py    the requests, and the record of each
    watch.py      which weight each version had, and when
    board.py      all that there is to see, at one moment
    view.py       the terminal, drawn from that;  river.py: the picture of the traffic
    checks.py     did it work? Pure, from the records
    processes.py  what was started, and that nothing of it is left
    story.py      the order of events
"""
