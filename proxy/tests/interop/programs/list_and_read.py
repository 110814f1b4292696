#!/usr/bin/env python3
"""Lists buckets, lists their objects and reads each one, round after round, until it is no longer let in.

It is an ordinary boto3 program: credentials, region and endpoint come from the environment (`AWS_ENDPOINT_URL`).

    list_and_read.py             another round every second
    list_and_read.py --step      another round whenever Enter is pressed
"""

import sys
import time

import boto3
from botocore.config import Config


def read_everything(s3) -> tuple[int, int]:
    """Objects and bytes read."""
    objects = size = 0
    for bucket in s3.list_buckets()["Buckets"]:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket["Name"]):
            for entry in page.get("Contents", []):
                size += len(s3.get_object(Bucket=bucket["Name"], Key=entry["Key"])["Body"].read())
                objects += 1
    return objects, size


def main() -> None:
    s3 = boto3.client("s3", config=Config(s3={"addressing_style": "path"}))
    step = "--step" in sys.argv[1:]
    number = 0
    while True:
        number += 1
        objects, size = read_everything(s3)
        print(f"round {number}: read {objects} objects, {size} bytes", flush=True)
        if step:
            sys.stdin.readline()
        else:
            time.sleep(1)


if __name__ == "__main__":
    main()
