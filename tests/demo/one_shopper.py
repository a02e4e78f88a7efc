"""`gateway demo` with the CRM, and the purchases of household 1 alone: in the processes that it starts, too, which import this file."""

from gateway.cli import main
from gateway.demo import loader, purchases

newest = purchases._newest
purchases._newest = lambda journey: (basket for basket in newest(journey) if basket.household_id == 1)
loader.DATASETS = tuple(dataset for dataset in loader.DATASETS if dataset.key in {"crm", "purchases"})

if __name__ == "__main__":
    main()
