from minitrace.cli import main

raise SystemExit(main())
